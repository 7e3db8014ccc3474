"""The heavy stages of the study, a module each; `vidlib.graph` says what each depends on."""
