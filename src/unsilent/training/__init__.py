"""Recipes, data order, losses, one loop, checkpoints; a task a stage."""
