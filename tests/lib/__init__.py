"""What the whole-system suites share: a client, a receiver, the stack, Kafka, waiting."""
