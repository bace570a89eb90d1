"""What inference scripts import: content types, and arrays as JSON, CSV, NPY and NPZ."""
