"""`python -m chatredirect` is `chatredirect`."""

from chatredirect.cli import main

if __name__ == "__main__":
    main()
