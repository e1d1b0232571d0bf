"""A small certificate authority: key pairs, their rotation, and the issuer. It knows no builder."""
