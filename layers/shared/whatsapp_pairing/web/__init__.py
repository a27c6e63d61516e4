"""HTTP: who the caller is, which language and media type the caller wants, and how answers look."""
