"""The signing role's face: the only process that users speak to. It holds no key and no key store."""
