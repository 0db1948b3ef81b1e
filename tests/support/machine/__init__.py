"""The state machine's parts: the rules in miniature, the calls as they are drawn, sent and looked at."""
