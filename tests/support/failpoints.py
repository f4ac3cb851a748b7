"""The places at which the program may be told to die. Each is one at which a test lets it die: that all of the program
are here is held by tests/unit/test_house_rules.py."""

ONCE_A_BATCH = ("poll", "in_transaction", "after_db_commit", "after_offset_commit")
OFTEN = ("before_spawn", "after_spawn", "running", "exit_seen", "before_publish", "after_publish")
WHILE_STOPPING = ("cancel_stored", "term_sent")
IN_RECOVERY = "in_recovery"
RIGHT_BEFORE_THE_SPAWN, RIGHT_AFTER_THE_SPAWN = "spawn", "spawned"
OF_A_MEDIATOR = (*ONCE_A_BATCH, *OFTEN, *WHILE_STOPPING, IN_RECOVERY)
ALL = (*OF_A_MEDIATOR, RIGHT_BEFORE_THE_SPAWN, RIGHT_AFTER_THE_SPAWN)
