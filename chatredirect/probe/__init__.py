"""The engine of `chatredirect probe`: calls an endpoint as an old client does."""
