"""Generator, discriminators and colour prior, and how images and maps become tensors."""
