"""Floor 3: how good a system is. Receives teachers, models and rows; builds none of them."""
