"""Splits of TCD-TIMIT: protocols."""
