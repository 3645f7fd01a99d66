"""What the distillation losses are: described, computed in float64, computed for training."""
