"""Stages composed into what a command does."""
