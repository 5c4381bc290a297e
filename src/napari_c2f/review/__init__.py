"""Review: accept or reject what refining changed, region by region."""
