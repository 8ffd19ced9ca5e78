"""What `unsilent bench` measures. Figures are ratios to a reference of the same run wherever machines would differ."""
