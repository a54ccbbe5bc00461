"""What the properties share: profiles, servers, strategies, a model and a server in lockstep, a copy restored.

Every room of ``properties`` but ``recording`` may import it.
"""
