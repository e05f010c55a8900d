"""What a run leaves: a folder of raw rows and a manifest, which its report is made from."""
