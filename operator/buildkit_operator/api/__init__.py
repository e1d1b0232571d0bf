"""The resource as users write and read it: models, names, conditions, and the CRD generated from them. No I/O."""
