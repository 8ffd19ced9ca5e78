"""Splits of GRID: lists of clips and protocols."""
