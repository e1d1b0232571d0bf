#!/bin/sh
common() {
  echo "common to $1"
}
