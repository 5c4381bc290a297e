"""Networks: the U-Net of the generator."""
