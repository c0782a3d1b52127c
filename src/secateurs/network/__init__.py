"""A network as the operations it runs: what they are, how they are captured and run, alone or in pairs."""
