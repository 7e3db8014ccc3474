"""The heavy stages of the study, a module each; `vidlib.workflow.graph` lists them."""
