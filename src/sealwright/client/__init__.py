"""What a publisher's machine runs: the service's contracts over HTTP, timestamps, attaching and verifying."""
