"""What a teacher says per token, and whether its vocabulary is the student's."""
