"""Replaces Supabase and WhatsApp, so that no account is needed.

``database`` prepares a database, and ``supabase_auth`` signs the users' tokens. ``whatsapp`` chooses and starts the
WhatsApp of a run. ``developer_paths`` lets a developer sign in and scan, and ``datadir`` keeps the data between runs.
"""
