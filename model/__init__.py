"""The multimodal network: decode, encode, fuse, train, look at a pool. No Label Studio."""
