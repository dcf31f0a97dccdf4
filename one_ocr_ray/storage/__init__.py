"""Files and objects: what a run and the service read and write, each module one kind of file."""
