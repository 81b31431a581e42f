"""The HTTP server: connections, their deadlines and TLS, in front of a WSGI application."""
