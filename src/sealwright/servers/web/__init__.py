"""What the deployables share: the protocol between processes, problem documents, and how a server is run."""
