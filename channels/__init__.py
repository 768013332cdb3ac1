"""How a message leaves the house: one folder a channel, one contract, pure senders."""
