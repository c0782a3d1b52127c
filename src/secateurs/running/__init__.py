"""How a network is run and copied without leaving a trace on it, on others, or on the process."""
