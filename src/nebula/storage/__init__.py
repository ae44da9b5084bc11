"""Objects: one contract (contract.py), two stores (directory.py, s3.py)."""
