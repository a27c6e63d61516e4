"""The repository's documents.

- ``figures``: writes measured figures into a section of a file
- ``links``: checks that every link of every Markdown file leads somewhere (``make lint``)
"""
