"""What is said of a recipe before it runs: advice, estimates, forecasts, the pre-flight."""
