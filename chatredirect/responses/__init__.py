"""What a requester is told: responses as planned, explained in words, and counted."""
