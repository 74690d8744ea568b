"""What users hold: files, Mains, other datasets."""
