"""Images, volumes and folders that are too large for one process: OME-Zarr, shards and workers."""
