"""The Rules, for a worker who looks up a refusal, a deadline or an article."""
