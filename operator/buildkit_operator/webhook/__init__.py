"""The admission webhook: the process that the API server asks about pods, where it has no MutatingAdmissionPolicy."""
