"""What happens to one page: prompts, blank pages, checks of answers, retries."""
