"""Files and objects that a run and the service read and write. Each module is one kind of file."""
