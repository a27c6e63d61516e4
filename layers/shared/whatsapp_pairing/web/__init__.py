"""The caller's side: who asks, which language and media type they want, and how answers look."""
