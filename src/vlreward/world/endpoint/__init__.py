"""A stand-in for a paid endpoint: the world's truth behind OpenAI's chat-completions protocol."""
