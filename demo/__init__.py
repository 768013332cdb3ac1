"""A believable dealer of home appliances in Xi'an, made from a seed, and the loop played on it (`make demo`)."""
