"""The reading process."""

from chatredirect.loading.child import main

if __name__ == "__main__":
    main()
