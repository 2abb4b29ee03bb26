/* Reads, writes and moves octets, and decides nothing: the compiled twin of a few Python functions.
 *
 * A function that reads or writes a message gives what its Python twin gives, or None for a message that
 * is unusual in any way; then the caller asks the twin. So a message has one meaning, whichever of the
 * two reads it. The grammar here is narrower than that of RFC 3261 §25 in the same places as
 * sip/parser.py: no folded line, no quoted parameter value, no address without angle brackets.
 *
 * No recursion, no unchecked length; every bound of `limits` is an argument. All functions hold the GIL.
 */
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* ---- classes of octets (RFC 3261 §25.1) ------------------------------------------------------ */

enum {
    TOKEN = 1,    /* token */
    URI = 2,      /* what a URI in angle brackets may have */
    VISIBLE = 4,  /* Call-ID */
    VALUE = 8,    /* a header field's value: text and tabs */
    PARAM = 16,   /* a parameter's value without quotes */
    NAME = 32,    /* a display name without quotes */
    HOST = 64,    /* a host name or IPv4 address */
    SCHEME = 128, /* a URI's scheme */
};

static unsigned char CLASS[256];

static void fill_classes(void)
{
    for (int c = 0; c < 256; c++) {
        unsigned char bits = 0;
        int letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        int digit = c >= '0' && c <= '9';
        int visible = c > 0x20 && c != 0x7f;
        if (letter || digit || (c && strchr("-.!%*_+`'~", c)))
            bits |= TOKEN;
        if (visible && c != '<' && c != '>')
            bits |= URI;
        if (visible)
            bits |= VISIBLE;
        if (c == '\t' || (c >= 0x20 && c != 0x7f))
            bits |= VALUE;
        if (visible && !strchr(",\";<>", c))
            bits |= PARAM;
        if (letter || digit || c == ' ')
            bits |= NAME;
        if (letter || digit || c == '_' || c == '.' || c == '-')
            bits |= HOST;
        if (letter || digit || (c && strchr("+.-", c)))
            bits |= SCHEME;
        CLASS[c] = bits;
    }
}

#define IS(c, bits) (CLASS[(unsigned char)(c)] & (bits))
#define LOWER(c) ((unsigned char)((c) >= 'A' && (c) <= 'Z' ? (c) | 0x20 : (c)))
#define LETTER(c) ((LOWER(c) >= 'a') && (LOWER(c) <= 'z'))
#define DIGIT(c) ((c) >= '0' && (c) <= '9')

typedef struct {
    const char *at;
    Py_ssize_t size;
} Span;

static int equal_lower(const char *text, Py_ssize_t size, const char *lower)
{
    Py_ssize_t i = 0;
    for (; i < size && lower[i]; i++)
        if (LOWER(text[i]) != (unsigned char)lower[i])
            return 0;
    return i == size && !lower[i];
}

/* ---- the classes of Python, made known once ------------------------------------------------- */

typedef struct {
    PyObject *type;
    PyObject *members[16]; /* descriptors of its slots, in the order of the fields */
    descrsetfunc set;
    descrgetfunc get;
    int count;
} Layout;

static const char *const REQUEST_FIELDS[] = {
    "method", "uri", "version", "head", "vias", "from_", "to", "call_id", "cseq", "content_length",
    "body", "fault", "mandatory_headers", "overlong", "index", NULL,
};
static const char *const RESPONSE_FIELDS[] = {
    "status", "reason", "head", "vias", "from_", "to", "call_id", "cseq", "content_length", "body",
    "fault", "index", "left_out", NULL,
};
static const char *const HEADERS_FIELDS[] = {"via", "from_", "to", "number", "in_dialog", NULL};
static const char *const VIA_FIELDS[] = {"host", "port", "params", "end", "readable", "version", NULL};
static const char *const LIMITS_FIELDS[] = {
    "message", "header_line", "headers", "via_values", "uri", NULL,
};
/* positions in them, for what `answer` reads back from a request */
enum { REQUEST_URI = 1, REQUEST_VIAS = 4, REQUEST_FROM, REQUEST_TO, REQUEST_CALL_ID, REQUEST_CSEQ, REQUEST_HEADERS = 12 };
enum { RESPONSE_HEAD = 2, RESPONSE_VIAS, RESPONSE_CSEQ = 7, RESPONSE_LENGTH, RESPONSE_BODY };
enum { HEADERS_VIA = 0, HEADERS_NUMBER = 3 };
enum { VIA_HOST, VIA_PORT, VIA_PARAMS, VIA_END, VIA_READABLE };

static Layout request_layout, response_layout, headers_layout, via_layout, limits_layout;

static const char *const METHODS[] = {
    "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "SUBSCRIBE", "NOTIFY", "MESSAGE",
    "INFO", "UPDATE", "PRACK", "REFER", "PUBLISH", "BENOTIFY", "SERVICE", "NEGOTIATE", NULL,
};
static PyObject *methods[sizeof METHODS / sizeof *METHODS];
static PyObject *version_2; /* b"SIP/2.0" */
static PyObject *via_version; /* b"2.0" */
static PyObject *nothing;   /* b"" */
static PyObject *empty_tuple;

/* An attribute of a class. Its name is interned: the interpreter's cache of attributes keeps each other name
 * that it is asked by, at a place that depends on where the name is in memory. */
static PyObject *attribute_of(PyObject *type, const char *name)
{
    PyObject *interned = PyUnicode_InternFromString(name);
    PyObject *found = interned == NULL ? NULL : PyObject_GetAttr(type, interned);
    Py_XDECREF(interned);
    return found;
}

/* Learn a slotted dataclass; -1 with an exception set if it has other fields than `names`. */
static int learn(Layout *layout, PyObject *type, const char *const *names)
{
    if (!PyType_Check(type)) {
        PyErr_SetString(PyExc_TypeError, "a class is wanted");
        return -1;
    }
    PyObject *slots = attribute_of(type, "__slots__");
    Py_ssize_t fields = slots == NULL ? -1 : PySequence_Size(slots);
    Py_XDECREF(slots);
    if (fields < 0)
        return -1;
    int count = 0;
    while (names[count])
        count++;
    if (fields != count) {
        PyErr_Format(PyExc_TypeError, "%R has other fields than the codec knows", type);
        return -1;
    }
    for (count = 0; names[count]; count++) {
        PyObject *member = attribute_of(type, names[count]);
        if (member == NULL)
            return -1;
        descrsetfunc set = (descrsetfunc)PyType_GetSlot(Py_TYPE(member), Py_tp_descr_set);
        descrgetfunc get = (descrgetfunc)PyType_GetSlot(Py_TYPE(member), Py_tp_descr_get);
        if (set == NULL || get == NULL) {
            Py_DECREF(member);
            PyErr_Format(PyExc_TypeError, "%s is no slot", names[count]);
            return -1;
        }
        layout->set = set;
        layout->get = get;
        PyObject *before = layout->members[count];
        layout->members[count] = member;
        Py_XDECREF(before);
    }
    Py_INCREF(type);
    PyObject *before = layout->type;
    layout->type = type;
    layout->count = count;
    Py_XDECREF(before);
    return 0;
}

/* A new object of a slotted class; each value is stolen, and may be NULL after a failure. */
static PyObject *make(const Layout *layout, PyObject **values)
{
    PyObject *made = NULL;
    int whole = 1;
    for (int i = 0; i < layout->count; i++)
        whole = whole && values[i] != NULL;
    if (whole)
        made = PyType_GenericAlloc((PyTypeObject *)layout->type, 0);
    for (int i = 0; i < layout->count; i++) {
        if (made != NULL && layout->set(layout->members[i], made, values[i]) < 0)
            Py_CLEAR(made);
        Py_XDECREF(values[i]);
    }
    return made;
}

static PyObject *get(const Layout *layout, PyObject *object, int member)
{
    return layout->get(layout->members[member], object, (PyObject *)Py_TYPE(object));
}

static PyObject *new_reference(PyObject *object)
{
    Py_INCREF(object);
    return object;
}

/* Py_RETURN_NONE of Python 3.12 and later takes no reference, which 3.11 would miss: one binary serves both. */
static PyObject *none(void)
{
    return new_reference(Py_None);
}

static PyObject *octets(Span span)
{
    return span.size ? PyBytes_FromStringAndSize(span.at, span.size) : new_reference(nothing);
}

/* ---- parts of a head ------------------------------------------------------------------------ */

/* As `run` with VALUE, most of it eight octets at a time: values are most of a head. */
static const char *run_of_value(const char *at, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    for (;;) {
        for (; end - at >= 8; at += 8) {
            uint64_t word, deleted;
            memcpy(&word, at, sizeof word);
            deleted = word ^ 0x7f * ones;
            if ((((word - 0x20 * ones) & ~word) | ((deleted - ones) & ~deleted)) & highs)
                break; /* perhaps an octet below 0x20, or a DEL */
        }
        const char *stop = end - at < 8 ? end : at + 8;
        while (at < stop && IS(*at, VALUE))
            at++;
        if (at < stop || at == end)
            return at;
    }
}

static const char *run(const char *at, const char *end, unsigned char bits)
{
    while (at < end && IS(*at, bits))
        at++;
    return at;
}

enum { MAX_PARAMS = 64 }; /* abnf.MAX_PARAMS */

/* The next of *( ";" token [ "=" value ] ), without quotes and white space; 0 for anything else. Without "=" the
 * value is empty. Inlined: a message has a dozen of them. */
static inline Py_ALWAYS_INLINE int next_param(const char **at, const char *end, Span *name, Span *value)
{
    if (*(*at)++ != ';')
        return 0;
    name->at = *at;
    *at = run(*at, end, TOKEN);
    name->size = *at - name->at;
    *value = (Span){"", 0};
    if (*at < end && **at == '=') {
        value->at = ++*at;
        *at = run(*at, end, PARAM);
        value->size = *at - value->at;
    }
    return name->size > 0;
}

/* Parameters up to the end; 0 for anything else. Says whether there is a tag. */
static int read_params(const char *at, const char *end, int *tagged)
{
    Span name, value;
    *tagged = 0;
    for (int count = 0; at < end; count++) {
        if (count == MAX_PARAMS || !next_param(&at, end, &name, &value))
            return 0;
        if (equal_lower(name.at, name.size, "tag")) {
            if (value.size == 0 || *tagged)
                return 0; /* an empty tag, or two: unusual */
            *tagged = 1;
        }
    }
    return 1;
}

/* Behind a display name in quotes and a space, if there is one; NULL if it is unusual. */
static const char *behind_quoted(const char *at, const char *end)
{
    if (at == end || *at != '"')
        return at;
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\' || !IS(*at, VALUE) || *at == '\t')
            return NULL;
    if (at == end)
        return NULL;
    at++;
    return at < end && *at == ' ' ? at + 1 : at;
}

/* [ name ] "<" URI ">" params */
static int read_address(Span value, int *tagged)
{
    const char *at = value.at, *end = value.at + value.size;
    if (at < end && IS(*at, NAME) && *at != ' ')
        at = run(at, end, NAME);
    else if ((at = behind_quoted(at, end)) == NULL)
        return 0;
    if (at == end || *at++ != '<' || at == end || !LETTER(*at))
        return 0;
    at = run(at, end, SCHEME);
    if (at == end || *at++ != ':')
        return 0;
    const char *rest = at;
    at = run(at, end, URI);
    if (at == rest || at == end || *at++ != '>')
        return 0;
    return read_params(at, end, tagged);
}

typedef struct {
    Span host, params;
    int port; /* -1: none */
} ViaParts;

/* SIP/2.0/transport SP sent-by params: one via-parm, which is the whole value */
static int read_via(Span value, ViaParts *via)
{
    const char *at = value.at, *end = value.at + value.size;
    if (value.size < 8 || memcmp(at, "SIP/2.0/", 8) != 0)
        return 0;
    const char *from = at += 8;
    at = run(at, end, TOKEN);
    if (at == from || at == end || *at++ != ' ')
        return 0;
    from = at;
    if (at < end && *at == '[') {
        for (at++; at < end && *at != ']'; at++)
            if (!DIGIT(*at) && *at != ':' && *at != '.' && !(LOWER(*at) >= 'a' && LOWER(*at) <= 'f'))
                return 0;
        if (at == end || at == from + 1)
            return 0;
        at++;
    } else {
        if (at == end || !IS(*at, HOST) || *at == '.' || *at == '-')
            return 0;
        at = run(at, end, HOST);
    }
    via->host = (Span){from, at - from};
    via->port = -1;
    if (at < end && *at == ':') {
        int port = 0;
        from = ++at;
        for (; at < end && DIGIT(*at) && at - from < 5; at++)
            port = port * 10 + (*at - '0');
        if (at == from || port > 65535)
            return 0;
        via->port = port;
    }
    via->params = (Span){at, end - at};
    int tagged;
    return read_params(at, end, &tagged);
}

/* digits, at most nine of them; -1 for anything else */
static long read_number(const char *at, const char *end)
{
    long number = 0;
    if (at == end || end - at > 9)
        return -1;
    for (; at < end; at++) {
        if (!DIGIT(*at))
            return -1;
        number = number * 10 + (*at - '0');
    }
    return number;
}

/* ---- a head --------------------------------------------------------------------------------- */

typedef struct {
    Py_ssize_t message, header_line, headers, via_values, uri;
} Limits;

enum { SLOT_NONE, SLOT_VIA, SLOT_FROM, SLOT_TO, SLOT_CALL_ID, SLOT_CSEQ, SLOT_LENGTH, SLOTS };

static int slot_of(const char *name, Py_ssize_t size)
{
    switch (size) {
    case 1:
        switch (LOWER(*name)) {
        case 'v': return SLOT_VIA;
        case 'f': return SLOT_FROM;
        case 't': return SLOT_TO;
        case 'i': return SLOT_CALL_ID;
        case 'l': return SLOT_LENGTH;
        }
        return SLOT_NONE;
    case 2: return equal_lower(name, size, "to") ? SLOT_TO : SLOT_NONE;
    case 3: return equal_lower(name, size, "via") ? SLOT_VIA : SLOT_NONE;
    case 4:
        return equal_lower(name, size, "from")   ? SLOT_FROM
               : equal_lower(name, size, "cseq") ? SLOT_CSEQ
                                                 : SLOT_NONE;
    case 7: return equal_lower(name, size, "call-id") ? SLOT_CALL_ID : SLOT_NONE;
    case 14: return equal_lower(name, size, "content-length") ? SLOT_LENGTH : SLOT_NONE;
    }
    return SLOT_NONE;
}

typedef struct {
    Span text;                /* all of it, without the empty line */
    Span method, uri, reason; /* of a request; of a response */
    int status;               /* 0: a request */
    Span found[SLOTS];
    ViaParts top;
    Py_ssize_t vias;
    long number, length;
    int in_dialog;
} Head;

static Span strip(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return (Span){at, end - at};
}

/* Start-line: 0 if it is unusual. */
static int read_start_line(const char *at, const char *end, const Limits *limits, Head *head)
{
    if (end - at >= 8 && memcmp(at, "SIP/2.0 ", 8) == 0) {
        at += 8;
        if (end - at < 4 || at[0] < '1' || at[0] > '6' || !DIGIT(at[1]) || !DIGIT(at[2]) || at[3] != ' ')
            return 0;
        head->status = (at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0');
        head->reason = (Span){at + 4, end - at - 4};
        return run(at + 4, end, VALUE) == end;
    }
    const char *from = at;
    while (at < end && *at >= 'A' && *at <= 'Z')
        at++;
    head->method = (Span){from, at - from};
    if (at == from || at == end || *at++ != ' ')
        return 0;
    from = at;
    if (at == end || !LETTER(*at))
        return 0;
    at = run(at, end, SCHEME);
    if (at == end || *at++ != ':')
        return 0;
    const char *rest = at;
    at = run(at, end, URI);
    head->uri = (Span){from, at - from};
    return at > rest && head->uri.size <= limits->uri && end - at == 8 && memcmp(at, " SIP/2.0", 8) == 0;
}

/* Start-line and header fields, up to the empty line that must come before the end. 0 if anything is
 * unusual or over a limit. */
static int read_lines(const char *at, const char *end, const Limits *limits, Head *head)
{
    memset(head, 0, sizeof *head);
    head->text.at = at;
    const char *line_end = memchr(at, '\r', end - at);
    if (line_end == NULL || !read_start_line(at, line_end, limits, head))
        return 0;
    Py_ssize_t lines = 0, via_values = 0;
    at = line_end;
    for (;;) {
        if (end - at < 4 || at[0] != '\r' || at[1] != '\n')
            return 0;
        if (at[2] == '\r' && at[3] == '\n')
            break;
        if (++lines > limits->headers)
            return 0;
        at += 2;
        const char *name = at;
        at = run(at, end, TOKEN);
        if (at == name || at == end || *at != ':')
            return 0;
        int slot = slot_of(name, at - name);
        const char *from = ++at;
        at = run_of_value(at, end);
        if (at - name > limits->header_line)
            return 0;
        if (slot == SLOT_NONE)
            continue;
        Span value = strip(from, at);
        if (slot == SLOT_VIA) {
            for (const char *comma = value.at; (comma = memchr(comma, ',', value.at + value.size - comma)); comma++)
                via_values++;
            if (++via_values > limits->via_values)
                return 0;
            if (head->vias++ == 0)
                head->found[slot] = value;
        } else if (head->found[slot].at != NULL) {
            return 0;
        } else {
            head->found[slot] = value;
        }
    }
    head->text.size = at - head->text.at;
    for (int slot = SLOT_VIA; slot < SLOTS; slot++)
        if (head->found[slot].at == NULL)
            return 0;
    int unused;
    Span cseq = head->found[SLOT_CSEQ], call_id = head->found[SLOT_CALL_ID], length = head->found[SLOT_LENGTH];
    if (!read_via(head->found[SLOT_VIA], &head->top) || !read_address(head->found[SLOT_FROM], &unused) ||
        !read_address(head->found[SLOT_TO], &head->in_dialog))
        return 0;
    if (call_id.size == 0 || run(call_id.at, call_id.at + call_id.size, VISIBLE) != call_id.at + call_id.size)
        return 0;
    const char *space = memchr(cseq.at, ' ', cseq.size);
    if (space == NULL || (head->number = read_number(cseq.at, space)) < 0)
        return 0;
    Span method = {space + 1, cseq.at + cseq.size - space - 1};
    if (head->status) {
        if (method.size == 0 || run(method.at, method.at + method.size, TOKEN) != method.at + method.size)
            return 0;
    } else if (method.size != head->method.size || memcmp(method.at, head->method.at, method.size) != 0) {
        return 0;
    }
    head->length = read_number(length.at, length.at + length.size);
    return head->length >= 0;
}

/* All Via values, in order. The lines have been found good. */
static PyObject *via_values(const Head *head, PyObject *top, const char *end)
{
    PyObject *vias = PyList_New(head->vias);
    if (vias == NULL)
        return NULL;
    if (PyList_SetItem(vias, 0, new_reference(top)) < 0)
        goto failed;
    const char *at = head->found[SLOT_VIA].at + head->found[SLOT_VIA].size;
    for (Py_ssize_t i = 1; i < head->vias;) {
        at = memchr(at, '\n', end - at);
        if (at == NULL) { /* read_lines has counted them, so this can't be */
            PyErr_SetString(PyExc_SystemError, "fewer Vias than counted");
            goto failed;
        }
        const char *name = ++at;
        at = run(at, end, TOKEN);
        if (slot_of(name, at - name) != SLOT_VIA)
            continue;
        const char *from = ++at;
        at = run_of_value(at, end);
        PyObject *value = octets(strip(from, at));
        if (value == NULL || PyList_SetItem(vias, i++, value) < 0)
            goto failed;
    }
    return vias;
failed:
    Py_DECREF(vias);
    return NULL;
}

static PyObject *method_of(Span span)
{
    for (int i = 0; METHODS[i]; i++)
        if ((Py_ssize_t)strlen(METHODS[i]) == span.size && memcmp(METHODS[i], span.at, span.size) == 0)
            return new_reference(methods[i]);
    return octets(span);
}

/* What an answer needs of the header fields: MandatoryHeaders. `from` and `to` are borrowed. */
static PyObject *make_headers(const Head *head, PyObject *from, PyObject *to)
{
    PyObject *parts[] = {
        octets(head->top.host),
        head->top.port < 0 ? new_reference(Py_None) : PyLong_FromLong(head->top.port),
        octets(head->top.params),
        PyLong_FromSsize_t(head->found[SLOT_VIA].size),
        new_reference(Py_True),
        new_reference(via_version),
    };
    PyObject *via = make(&via_layout, parts);
    if (via == NULL)
        return NULL;
    PyObject *values[] = {
        via, new_reference(from), new_reference(to), PyLong_FromLong(head->number),
        PyBool_FromLong(head->in_dialog),
    };
    return make(&headers_layout, values);
}

static PyObject *make_message(const Head *head, Span body)
{
    Span text = head->text;
    PyObject *message = NULL, *vias = NULL, *headers = NULL;
    PyObject *top = octets(head->found[SLOT_VIA]);
    PyObject *from = octets(head->found[SLOT_FROM]), *to = octets(head->found[SLOT_TO]);
    if (top == NULL || from == NULL || to == NULL)
        goto done;
    vias = via_values(head, top, text.at + text.size);
    if (vias == NULL)
        goto done;
    if (head->status) {
        PyObject *values[] = {
            PyLong_FromLong(head->status), octets(head->reason), octets(text), new_reference(vias),
            new_reference(from), new_reference(to), octets(head->found[SLOT_CALL_ID]),
            octets(head->found[SLOT_CSEQ]), PyLong_FromLong(head->length), octets(body),
            new_reference(Py_None), new_reference(Py_None), PyLong_FromLong(0),
        };
        message = make(&response_layout, values);
        goto done;
    }
    headers = make_headers(head, from, to);
    if (headers == NULL)
        goto done;
    PyObject *values[] = {
        method_of(head->method), octets(head->uri), new_reference(version_2), octets(text),
        new_reference(vias), new_reference(from), new_reference(to),
        octets(head->found[SLOT_CALL_ID]), octets(head->found[SLOT_CSEQ]),
        PyLong_FromLong(head->length), octets(body), new_reference(Py_None), new_reference(headers),
        new_reference(empty_tuple), new_reference(Py_None),
    };
    message = make(&request_layout, values);
done:
    Py_XDECREF(top);
    Py_XDECREF(from);
    Py_XDECREF(to);
    Py_XDECREF(vias);
    Py_XDECREF(headers);
    return message;
}

/* The numbers of a Limits object. It is frozen, so those of the last one are kept with it. */
static int read_limits(PyObject *object, Limits *limits)
{
    static PyObject *last;
    static Limits of_last;
    if (object != last) {
        if (limits_layout.type == NULL || Py_TYPE(object) != (PyTypeObject *)limits_layout.type)
            return 0;
        Py_ssize_t numbers[5];
        for (int i = 0; i < 5; i++) {
            PyObject *value = get(&limits_layout, object, i);
            numbers[i] = value == NULL ? -1 : PyLong_AsSsize_t(value);
            Py_XDECREF(value);
            if (PyErr_Occurred() || numbers[i] < 0)
                return 0;
        }
        of_last = (Limits){numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
        PyObject *before = last;
        last = new_reference(object);
        Py_XDECREF(before);
    }
    *limits = of_last;
    return 1;
}

static PyObject *wrong_arguments(void)
{
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "these arguments don't fit");
    return NULL;
}

/* read_datagram(data, Limits) -> Request | Response | None */
static PyObject *read_datagram(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    char *data;
    Py_ssize_t size;
    Limits limits;
    Head head;
    if (count != 2 || PyBytes_AsStringAndSize(args[0], &data, &size) < 0 || !read_limits(args[1], &limits))
        return wrong_arguments();
    if (size > limits.message)
        return none();
    if (!read_lines(data, data + size, &limits, &head))
        return none();
    Span body = {data + head.text.size + 4, size - head.text.size - 4};
    if (head.length > body.size)
        return none();
    body.size = head.length; /* RFC 3261 §18.3: what is behind it is no part of the message */
    return make_message(&head, body);
}

/* read_stream(buffer, position, Limits) -> (Request | Response, position behind it) | None */
static PyObject *read_stream(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    char *data;
    Py_ssize_t size;
    Limits limits;
    Head head;
    if (count != 3 || PyBytes_AsStringAndSize(args[0], &data, &size) < 0 || !read_limits(args[2], &limits))
        return wrong_arguments();
    Py_ssize_t position = PyLong_AsSsize_t(args[1]);
    if (position < 0 || position > size)
        return wrong_arguments();
    const char *from = data + position;
    Py_ssize_t left = size - position;
    /* a head that is over the limit isn't looked at any further */
    if (!read_lines(from, from + (left < limits.message ? left : limits.message), &limits, &head))
        return none();
    Span body = {from + head.text.size + 4, head.length};
    if (body.at - from + body.size > limits.message || data + size - body.at < body.size)
        return none();
    PyObject *message = make_message(&head, body);
    if (message == NULL)
        return NULL;
    PyObject *behind = PyLong_FromSsize_t(body.at + body.size - data);
    PyObject *both = behind == NULL ? NULL : PyTuple_Pack(2, message, behind);
    Py_DECREF(message);
    Py_XDECREF(behind);
    return both;
}

/* ---- a keyed hash: BLAKE2b (RFC 7693) -------------------------------------------------------- */

typedef struct {
    uint64_t h[8];
    uint64_t counted;
    unsigned char block[128];
    unsigned int filled;
} Blake;

static const uint64_t BLAKE_IV[8] = {
    0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u,
    0x510e527fade682d1u, 0x9b05688c2b3e6c1fu, 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u,
};
static const unsigned char BLAKE_SIGMA[12][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
};

static uint64_t rotated(uint64_t word, int by) { return (word >> by) | (word << (64 - by)); }

static uint64_t little_endian(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return le64toh(word);
}

static void blake_compress(Blake *state, int last)
{
    uint64_t v[16], m[16];
    for (int i = 0; i < 8; i++) {
        v[i] = state->h[i];
        v[i + 8] = BLAKE_IV[i];
    }
    v[12] ^= state->counted;
    if (last)
        v[14] = ~v[14];
    for (int i = 0; i < 16; i++)
        m[i] = little_endian(state->block + 8 * i);
#define MIX(a, b, c, d, x, y)                 \
    do {                                      \
        v[a] += v[b] + (x);                   \
        v[d] = rotated(v[d] ^ v[a], 32);      \
        v[c] += v[d];                         \
        v[b] = rotated(v[b] ^ v[c], 24);      \
        v[a] += v[b] + (y);                   \
        v[d] = rotated(v[d] ^ v[a], 16);      \
        v[c] += v[d];                         \
        v[b] = rotated(v[b] ^ v[c], 63);      \
    } while (0)
#pragma GCC unroll 12 /* the permutations are constants then, which saves a fifth */
    for (int round = 0; round < 12; round++) {
        const unsigned char *s = BLAKE_SIGMA[round];
        MIX(0, 4, 8, 12, m[s[0]], m[s[1]]);
        MIX(1, 5, 9, 13, m[s[2]], m[s[3]]);
        MIX(2, 6, 10, 14, m[s[4]], m[s[5]]);
        MIX(3, 7, 11, 15, m[s[6]], m[s[7]]);
        MIX(0, 5, 10, 15, m[s[8]], m[s[9]]);
        MIX(1, 6, 11, 12, m[s[10]], m[s[11]]);
        MIX(2, 7, 8, 13, m[s[12]], m[s[13]]);
        MIX(3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
#undef MIX
    for (int i = 0; i < 8; i++)
        state->h[i] ^= v[i] ^ v[i + 8];
}

static void blake_update(Blake *state, const char *at, Py_ssize_t size)
{
    while (size > 0) {
        if (state->filled == sizeof state->block) {
            state->counted += state->filled;
            blake_compress(state, 0);
            state->filled = 0;
        }
        Py_ssize_t room = (Py_ssize_t)sizeof state->block - state->filled;
        Py_ssize_t some = size < room ? size : room;
        memcpy(state->block + state->filled, at, some);
        state->filled += (unsigned int)some;
        at += some;
        size -= some;
    }
}

enum { BLAKE_KEY = 64 };

/* at most BLAKE_KEY octets of key, and 64 of digest */
static void blake_begin(Blake *state, const char *key, Py_ssize_t key_size, int digest_size)
{
    memset(state, 0, sizeof *state);
    memcpy(state->h, BLAKE_IV, sizeof state->h);
    state->h[0] ^= 0x01010000u ^ ((uint64_t)key_size << 8) ^ (uint64_t)digest_size;
    if (key_size) {
        memcpy(state->block, key, key_size);
        state->filled = sizeof state->block;
    }
}

/* A hash with one key in it. */
typedef struct {
    Blake state;
    char key[BLAKE_KEY];
    Py_ssize_t size;
    int digest_size; /* 0: none yet */
} Begun;

/* As blake_begin; what only the key decides is kept for the next time. */
static void blake_begin_with(Blake *state, Begun *begun, Span key, int digest_size)
{
    if (begun->digest_size != digest_size || begun->size != key.size || memcmp(begun->key, key.at, key.size) != 0) {
        blake_begin(&begun->state, key.at, key.size, digest_size);
        if (key.size) { /* its block isn't the last */
            begun->state.counted = sizeof begun->state.block;
            blake_compress(&begun->state, 0);
            begun->state.filled = 0;
        }
        memcpy(begun->key, key.at, key.size);
        begun->size = key.size;
        begun->digest_size = digest_size;
    }
    memcpy(state, &begun->state, sizeof *state);
}

static void blake_end(Blake *state, unsigned char *digest, int digest_size)
{
    state->counted += state->filled;
    memset(state->block + state->filled, 0, sizeof state->block - state->filled);
    blake_compress(state, 1);
    for (int i = 0; i < digest_size; i++)
        digest[i] = (unsigned char)(state->h[i / 8] >> 8 * (i % 8));
}

/* ---- an answer ------------------------------------------------------------------------------ */

enum { TAG_OCTETS = 8 };

static char *put(char *to, Span span)
{
    memcpy(to, span.at, span.size);
    return to + span.size;
}

static char *put_lower(char *to, Span span)
{
    for (Py_ssize_t i = 0; i < span.size; i++)
        *to++ = (char)LOWER(span.at[i]);
    return to;
}

/* A bytes object of its own, in lower case. */
static PyObject *lower_octets(Span span)
{
    PyObject *lower = PyBytes_FromStringAndSize(NULL, span.size);
    if (lower != NULL)
        put_lower(PyBytes_AsString(lower), span);
    return lower;
}

static char *put_text(char *to, const char *text) { return put(to, (Span){text, (Py_ssize_t)strlen(text)}); }

static char *put_number(char *to, unsigned long number)
{
    char digits[24];
    int size = 0;
    do
        digits[size++] = (char)('0' + number % 10);
    while (number /= 10);
    while (size)
        *to++ = digits[--size];
    return to;
}

static char *put_hex(char *to, const unsigned char *octets, int size)
{
    for (int i = 0; i < size; i++) {
        *to++ = "0123456789abcdef"[octets[i] >> 4];
        *to++ = "0123456789abcdef"[octets[i] & 15];
    }
    return to;
}

/* A borrowed span of a bytes object that somebody else holds; 0 if it is none. */
static int span_of(PyObject *object, Span *span)
{
    char *at;
    if (object == NULL || !PyBytes_Check(object) || PyBytes_AsStringAndSize(object, &at, &span->size) < 0) {
        PyErr_Clear();
        return 0;
    }
    span->at = at;
    return 1;
}

/* A member that is bytes; the object keeps it alive as long as nobody changes the object. */
static int member_span(const Layout *layout, PyObject *object, int member, Span *span)
{
    PyObject *value = get(layout, object, member);
    int good = span_of(value, span);
    Py_XDECREF(value);
    PyErr_Clear();
    return good;
}

/* A member that is a number; -1 for anything else. */
static long member_number(const Layout *layout, PyObject *object, int member)
{
    PyObject *value = get(layout, object, member);
    long number = value == NULL || !PyLong_Check(value) ? -1 : PyLong_AsLong(value);
    Py_XDECREF(value);
    PyErr_Clear();
    return number;
}

/* Whether rport or received, or a name that begins so, may be among parameters. */
static int has_rport_or_received(Span params)
{
    const char *end = params.at + params.size;
    for (const char *at = params.at; (at = memchr(at, ';', end - at)) != NULL;) {
        at++;
        if (end - at >= 5 && equal_lower(at, 5, "rport"))
            return 1;
        if (end - at >= 8 && equal_lower(at, 8, "received"))
            return 1;
    }
    return 0;
}

/* None, unless there is no memory. */
static PyObject *left_to_python(void)
{
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_MemoryError))
        return NULL;
    PyErr_Clear();
    return new_reference(Py_None);
}

/* The topmost Via, read; the spans stay valid as long as it and the list of Vias are unchanged. */
typedef struct {
    Span value, host, params;
    long port; /* -1: None */
} TopVia;

/* 0 if it is unusual, or isn't the only value of its line */
static int read_top_via(PyObject *vias, PyObject *via, TopVia *top)
{
    if (vias == NULL || !PyList_Check(vias) || PyList_Size(vias) < 1 || via == NULL ||
        Py_TYPE(via) != (PyTypeObject *)via_layout.type)
        return 0;
    PyObject *readable = get(&via_layout, via, VIA_READABLE);
    Py_XDECREF(readable); /* True and False live on */
    if (readable != Py_True || !member_span(&via_layout, via, VIA_HOST, &top->host) ||
        !member_span(&via_layout, via, VIA_PARAMS, &top->params))
        return 0;
    top->port = member_number(&via_layout, via, VIA_PORT);
    return span_of(PyList_GetItem(vias, 0), &top->value) &&
           member_number(&via_layout, via, VIA_END) == top->value.size;
}

/* How `stamp` and `reply_port` change a topmost Via (RFC 3581 §4, RFC 3261 §18.2.1). */
typedef struct {
    Span host;
    long port;
    int asked, differs; /* whether rport is filled in; whether the host isn't that of sent-by */
} Stamp;

/* 0 if the parameters are unusual */
static int read_stamp(const TopVia *top, Span host, long port, Stamp *stamp)
{
    Span params = top->params;
    *stamp = (Stamp){host, port, 0, 0};
    stamp->asked = params.size >= 6 && memcmp(params.at + params.size - 6, ";rport", 6) == 0 &&
                   !has_rport_or_received((Span){params.at, params.size - 6});
    stamp->differs = top->host.size != host.size || memcmp(top->host.at, host.at, host.size) != 0;
    for (Py_ssize_t i = 0; i < params.size; i++)
        if (!IS(params.at[i], VISIBLE) || params.at[i] == '"')
            return 0; /* white space or a string, in which a semicolon means nothing */
    return stamp->asked ||
           (!has_rport_or_received(params) && !(stamp->differs && top->host.size && *top->host.at == '['));
}

enum { SIP_PORT = 5060, STAMP = 24 /* octets of a stamp beside the host */ };

static char *put_stamped(char *at, const TopVia *top, const Stamp *stamp)
{
    at = put(at, top->value);
    if (stamp->asked)
        at = put_number(put_text(at, "="), (unsigned long)stamp->port);
    if (stamp->asked || stamp->differs)
        at = put(put_text(at, ";received="), stamp->host);
    return at;
}

static PyObject *port_of_reply(const TopVia *top, const Stamp *stamp)
{
    return PyLong_FromLong(stamp->asked ? stamp->port : top->port > 0 ? top->port : SIP_PORT);
}

/* The numbers and spans of a request that an answer repeats. They stay valid as long as the request and
 * the list of its Vias are unchanged, so no Python code may run before they are copied. */
typedef struct {
    TopVia top;
    Span from, to, call_id, cseq;
    long number;
    Py_ssize_t vias;
} Repeated;

/* 0 if the request is unusual; the three objects are the caller's to give back. */
static int read_repeated(PyObject *request, PyObject **headers, PyObject **vias, PyObject **via, Repeated *repeated)
{
    *headers = get(&request_layout, request, REQUEST_HEADERS);
    *vias = get(&request_layout, request, REQUEST_VIAS);
    if (*headers == NULL || Py_TYPE(*headers) != (PyTypeObject *)headers_layout.type)
        return 0;
    *via = get(&headers_layout, *headers, HEADERS_VIA);
    if (!read_top_via(*vias, *via, &repeated->top) ||
        !member_span(&request_layout, request, REQUEST_FROM, &repeated->from) ||
        !member_span(&request_layout, request, REQUEST_TO, &repeated->to) ||
        !member_span(&request_layout, request, REQUEST_CALL_ID, &repeated->call_id) ||
        !member_span(&request_layout, request, REQUEST_CSEQ, &repeated->cseq))
        return 0;
    repeated->number = member_number(&headers_layout, *headers, HEADERS_NUMBER);
    repeated->vias = PyList_Size(*vias);
    return repeated->number >= 0;
}

/* The To tag (TagMaker.tag): a keyed hash of what identifies the request. */
static char *put_tag(char *at, Span key, const Repeated *repeated)
{
    static Begun begun;
    Blake state;
    unsigned char digest[TAG_OCTETS];
    char digits[24];
    const Span hashed[] = {
        repeated->top.value, repeated->from, repeated->call_id,
    };
    blake_begin_with(&state, &begun, key, TAG_OCTETS);
    for (size_t i = 0; i < sizeof hashed / sizeof *hashed; i++) {
        blake_update(&state, hashed[i].at, hashed[i].size);
        blake_update(&state, "\r\n", 2);
    }
    blake_update(&state, digits, put_number(digits, (unsigned long)repeated->number) - digits);
    blake_end(&state, digest, TAG_OCTETS);
    return put_hex(put_text(at, ";tag="), digest, TAG_OCTETS);
}

enum {
    AROUND = 160, /* octets of an answer beside what its arguments hold: 100 of names, a port, a tag */
    AROUND_VIA = 8,
};

/* answer(request, host, port, status_line, fields, key) -> (octets, port) | None */
static PyObject *answer(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Span host, status_line, fields, key = {NULL, 0};
    if (count != 6 || request_layout.type == NULL || Py_TYPE(args[0]) != (PyTypeObject *)request_layout.type ||
        !span_of(args[1], &host) || !span_of(args[3], &status_line) || !span_of(args[4], &fields) ||
        (args[5] != Py_None && (!span_of(args[5], &key) || key.size > BLAKE_KEY)))
        return wrong_arguments();
    long port = PyLong_AsLong(args[2]);
    if (port < 0 || port > 65535)
        return wrong_arguments();

    PyObject *headers = NULL, *vias = NULL, *via = NULL, *written = NULL, *to_port = NULL, *result = NULL;
    Repeated repeated;
    if (!read_repeated(args[0], &headers, &vias, &via, &repeated))
        goto unusual;

    Stamp stamp;
    if (!read_stamp(&repeated.top, host, port, &stamp))
        goto unusual;

    Py_ssize_t size = status_line.size + repeated.top.value.size + host.size + repeated.from.size + repeated.to.size +
                      repeated.call_id.size + repeated.cseq.size + fields.size + AROUND;
    for (Py_ssize_t i = 1; i < repeated.vias; i++) {
        Span further;
        if (!span_of(PyList_GetItem(vias, i), &further))
            goto unusual;
        size += further.size + AROUND_VIA;
    }
    char *buffer = PyMem_Malloc(size);
    if (buffer == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    char *at = put_text(put(buffer, status_line), "\r\nVia: ");
    at = put_stamped(at, &repeated.top, &stamp);
    for (Py_ssize_t i = 1; i < repeated.vias; i++) {
        Span further = {"", 0};
        span_of(PyList_GetItem(vias, i), &further);
        at = put(put_text(at, "\r\nVia: "), further);
    }
    at = put(put_text(at, "\r\nFrom: "), repeated.from);
    at = put(put_text(at, "\r\nTo: "), repeated.to);
    if (key.at != NULL)
        at = put_tag(at, key, &repeated);
    at = put(put_text(at, "\r\nCall-ID: "), repeated.call_id);
    at = put(put_text(at, "\r\nCSeq: "), repeated.cseq);
    at = put(put_text(at, "\r\n"), fields);
    at = put_text(at, "Content-Length: 0\r\n\r\n");
    written = PyBytes_FromStringAndSize(buffer, at - buffer);
    PyMem_Free(buffer);
    to_port = port_of_reply(&repeated.top, &stamp);
    if (written != NULL && to_port != NULL)
        result = PyTuple_Pack(2, written, to_port);
    goto done;
unusual:
    result = left_to_python();
done:
    Py_XDECREF(headers);
    Py_XDECREF(vias);
    Py_XDECREF(via);
    Py_XDECREF(written);
    Py_XDECREF(to_port);
    return result;
}

/* stamped(request, headers, host, port) -> (topmost Via, port) | None: response.stamped */
static PyObject *stamped(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Span host;
    if (count != 4 || request_layout.type == NULL || Py_TYPE(args[0]) != (PyTypeObject *)request_layout.type ||
        Py_TYPE(args[1]) != (PyTypeObject *)headers_layout.type || !span_of(args[2], &host))
        return wrong_arguments();
    long port = PyLong_AsLong(args[3]);
    if (port < 0 || port > 65535)
        return wrong_arguments();
    PyObject *vias = get(&request_layout, args[0], REQUEST_VIAS), *via = get(&headers_layout, args[1], HEADERS_VIA);
    PyObject *written = NULL, *to_port = NULL, *result = NULL;
    TopVia top;
    Stamp stamp;
    if (!read_top_via(vias, via, &top) || !read_stamp(&top, host, port, &stamp)) {
        result = left_to_python();
        goto done;
    }
    char *buffer = PyMem_Malloc((size_t)(top.value.size + host.size + STAMP));
    if (buffer == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    written = PyBytes_FromStringAndSize(buffer, put_stamped(buffer, &top, &stamp) - buffer);
    PyMem_Free(buffer);
    to_port = port_of_reply(&top, &stamp);
    if (written != NULL && to_port != NULL)
        result = PyTuple_Pack(2, written, to_port);
done:
    Py_XDECREF(vias);
    Py_XDECREF(via);
    Py_XDECREF(written);
    Py_XDECREF(to_port);
    return result;
}

/* ---- batches of datagrams: recvmmsg(2), sendmmsg(2) ------------------------------------------- */

enum {
    SLOT = 65536,     /* octets; no UDP datagram is longer */
    CONTROL = 64,     /* octets; IP_PKTINFO and IPV6_PKTINFO take less */
    MOST_AT_ONCE = 1024, /* UIO_MAXIOV */
};

typedef struct {
    struct sockaddr_storage name;
    _Alignas(struct cmsghdr) char control[CONTROL];
} Envelope;

/* Memory for a batch, made for the first and kept. Nothing of it is used between two calls. */
typedef struct {
    struct mmsghdr *headers;
    struct iovec *vectors;
    char *data;          /* SLOT octets each; received ones only */
    Envelope *envelopes; /* likewise */
    unsigned int room;
} Batch;

static Batch incoming, outgoing;

static int grow(void *pointer, size_t count, size_t size)
{
    void *memory;
    memcpy(&memory, pointer, sizeof memory);
    memory = PyMem_Realloc(memory, count * size);
    if (memory == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    memcpy(pointer, &memory, sizeof memory);
    return 1;
}

static int make_room(Batch *batch, unsigned int most, int with_data)
{
    if (most <= batch->room)
        return 1;
    if (!grow(&batch->headers, most, sizeof *batch->headers) || !grow(&batch->vectors, most, sizeof *batch->vectors))
        return 0;
    if (with_data &&
        (!grow(&batch->data, most, SLOT) || !grow(&batch->envelopes, most, sizeof *batch->envelopes)))
        return 0;
    batch->room = most;
    return 1;
}

/* In a control message that says which address a datagram was sent to: no interface, so that routing
 * decides by which one the answer leaves. */
static void forget_interface(struct msghdr *header)
{
    for (struct cmsghdr *each = CMSG_FIRSTHDR(header); each != NULL; each = CMSG_NXTHDR(header, each)) {
        if (each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_PKTINFO &&
            each->cmsg_len >= CMSG_LEN(sizeof(struct in_pktinfo)))
            memset(CMSG_DATA(each) + offsetof(struct in_pktinfo, ipi_ifindex), 0, sizeof(int));
        if (each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_PKTINFO &&
            each->cmsg_len >= CMSG_LEN(sizeof(struct in6_pktinfo)))
            memset(CMSG_DATA(each) + offsetof(struct in6_pktinfo, ipi6_ifindex), 0, sizeof(int));
    }
}

/* receive(fd, most) -> [(data, name, control)] | errno */
static PyObject *receive(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    static int receiving; /* the garbage collector may run Python code, which may come here again */
    if (count != 2)
        return wrong_arguments();
    long fd = PyLong_AsLong(args[0]), most = PyLong_AsLong(args[1]);
    if (PyErr_Occurred() || fd < INT_MIN || fd > INT_MAX || most < 1 || most > MOST_AT_ONCE)
        return wrong_arguments();
    if (receiving)
        return PyLong_FromLong(EAGAIN);
    if (!make_room(&incoming, (unsigned int)most, 1))
        return NULL;
    for (long i = 0; i < most; i++) {
        incoming.vectors[i] = (struct iovec){incoming.data + (size_t)i * SLOT, SLOT};
        incoming.headers[i] = (struct mmsghdr){.msg_hdr = {
            .msg_name = &incoming.envelopes[i].name, .msg_namelen = sizeof incoming.envelopes[i].name,
            .msg_iov = &incoming.vectors[i], .msg_iovlen = 1,
            .msg_control = incoming.envelopes[i].control, .msg_controllen = CONTROL,
        }};
    }
    int came = recvmmsg((int)fd, incoming.headers, (unsigned int)most, MSG_DONTWAIT, NULL);
    if (came < 0)
        return PyLong_FromLong(errno);
    receiving = 1;
    PyObject *batch = PyList_New(came);
    for (int i = 0; batch != NULL && i < came; i++) {
        struct msghdr *header = &incoming.headers[i].msg_hdr;
        forget_interface(header);
        PyObject *data = octets((Span){incoming.vectors[i].iov_base, incoming.headers[i].msg_len});
        PyObject *name = octets((Span){header->msg_name, header->msg_namelen});
        PyObject *control = octets((Span){header->msg_control, (Py_ssize_t)header->msg_controllen});
        PyObject *datagram =
            data == NULL || name == NULL || control == NULL ? NULL : PyTuple_Pack(3, data, name, control);
        Py_XDECREF(data);
        Py_XDECREF(name);
        Py_XDECREF(control);
        if (datagram == NULL || PyList_SetItem(batch, i, datagram) < 0)
            Py_CLEAR(batch);
    }
    receiving = 0;
    return batch;
}

/* send(fd, [(data, name, control)], from) -> how many the kernel took | -errno */
static PyObject *send_batch(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !PyList_Check(args[1]))
        return wrong_arguments();
    long fd = PyLong_AsLong(args[0]);
    Py_ssize_t from = PyLong_AsSsize_t(args[2]), size = PyList_Size(args[1]);
    if (PyErr_Occurred() || fd < INT_MIN || fd > INT_MAX || from < 0 || from > size)
        return wrong_arguments();
    size -= from;
    unsigned int most = (unsigned int)(size < MOST_AT_ONCE ? size : MOST_AT_ONCE);
    if (!make_room(&outgoing, most, 0))
        return NULL;
    for (unsigned int i = 0; i < most; i++) {
        PyObject *datagram = PyList_GetItem(args[1], from + i);
        Span data, name, control;
        if (datagram == NULL || !PyTuple_Check(datagram) || PyTuple_Size(datagram) != 3 ||
            !span_of(PyTuple_GetItem(datagram, 0), &data) || !span_of(PyTuple_GetItem(datagram, 1), &name) ||
            !span_of(PyTuple_GetItem(datagram, 2), &control) ||
            name.size > (Py_ssize_t)sizeof(struct sockaddr_storage))
            return wrong_arguments();
        /* the kernel only reads what these point to */
        outgoing.vectors[i] = (struct iovec){(void *)data.at, (size_t)data.size};
        outgoing.headers[i] = (struct mmsghdr){.msg_hdr = {
            .msg_name = (void *)name.at, .msg_namelen = (socklen_t)name.size,
            .msg_iov = &outgoing.vectors[i], .msg_iovlen = 1,
            .msg_control = control.size ? (void *)control.at : NULL, .msg_controllen = (size_t)control.size,
        }};
    }
    int sent = most ? sendmmsg((int)fd, outgoing.headers, most, MSG_DONTWAIT) : 0;
    return PyLong_FromLong(sent < 0 ? -errno : sent);
}

/* ---- what a proxy keys, signs and changes ----------------------------------------------------- */

enum {
    KEY_OCTETS = 16,     /* of a transaction key: matching._short */
    MOST_DIGEST = 64,    /* BLAKE2b's longest */
    MOST_ROUTES = 16,    /* more of them are unusual */
    MOST_ROUTE = 4096,   /* octets of all Route fields: forwarding._MAX_ROUTE */
    MOST_HOP_DIGITS = 6, /* forwarding._MOST_DIGITS */
    AROUND_FORWARDED = 160, /* octets of "Via: ", Max-Forwards, Content-Length and the empty line, and some */
};

static void blake_update_lower(Blake *state, Span span)
{
    char lower[64];
    while (span.size > 0) {
        Span some = {span.at, span.size < (Py_ssize_t)sizeof lower ? span.size : (Py_ssize_t)sizeof lower};
        put_lower(lower, some);
        blake_update(state, lower, some.size);
        span.at += some.size;
        span.size -= some.size;
    }
}

/* The value of the first parameter of this name. 1: found; 0: it isn't there; -1: unusual. */
static int find_param(Span params, const char *wanted, Span *value)
{
    const char *at = params.at, *end = params.at + params.size;
    Span name, its;
    int found = 0;
    for (int count = 0; at < end; count++) {
        if (count == MAX_PARAMS || !next_param(&at, end, &name, &its))
            return -1;
        if (!found && equal_lower(name.at, name.size, wanted)) {
            *value = its;
            found = 1;
        }
    }
    return found;
}

/* What matching._key makes for an RFC 3261 client; no port is one below 1. */
static void hash_transaction(unsigned char *digest, Span method, Span branch, Span host, long port, Span call_id,
                             long number)
{
    Blake state;
    char digits[24];
    blake_begin(&state, "", 0, KEY_OCTETS);
    blake_update(&state, method.at, method.size);
    blake_update(&state, " ", 1);
    blake_update_lower(&state, branch);
    blake_update(&state, " ", 1);
    blake_update_lower(&state, host);
    blake_update(&state, ":", 1);
    blake_update(&state, digits, put_number(digits, port > 0 ? (unsigned long)port : SIP_PORT) - digits);
    blake_update(&state, " ", 1);
    blake_update(&state, call_id.at, call_id.size);
    blake_update(&state, " ", 1);
    blake_update(&state, digits, put_number(digits, (unsigned long)number) - digits);
    blake_end(&state, digest, KEY_OCTETS);
}

/* transaction_key(request, headers, method) -> key | None: matching._key for an RFC 3261 client */
static PyObject *transaction_key(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Span method, params, host, call_id, branch;
    if (count != 3 || request_layout.type == NULL || Py_TYPE(args[0]) != (PyTypeObject *)request_layout.type ||
        Py_TYPE(args[1]) != (PyTypeObject *)headers_layout.type || !span_of(args[2], &method))
        return wrong_arguments();
    PyObject *via = get(&headers_layout, args[1], HEADERS_VIA);
    long number = member_number(&headers_layout, args[1], HEADERS_NUMBER);
    if (via == NULL || Py_TYPE(via) != (PyTypeObject *)via_layout.type || number < 0 ||
        !member_span(&via_layout, via, VIA_PARAMS, &params) || !member_span(&via_layout, via, VIA_HOST, &host) ||
        !member_span(&request_layout, args[0], REQUEST_CALL_ID, &call_id) ||
        find_param(params, "branch", &branch) != 1 || branch.size <= 7 || !equal_lower(branch.at, 7, "z9hg4bk")) {
        Py_XDECREF(via);
        return left_to_python();
    }
    long port = member_number(&via_layout, via, VIA_PORT); /* -1: None */
    unsigned char digest[KEY_OCTETS];
    hash_transaction(digest, method, branch, host, port, call_id, number);
    Py_DECREF(via);
    return PyBytes_FromStringAndSize((const char *)digest, KEY_OCTETS);
}

/* branch_key(response) -> key | None: matching.branch_key */
static PyObject *branch_key(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    static const char BRANCH[] = ";branch=";
    if (count != 1 || response_layout.type == NULL || Py_TYPE(args[0]) != (PyTypeObject *)response_layout.type)
        return wrong_arguments();
    PyObject *vias = get(&response_layout, args[0], RESPONSE_VIAS), *key = NULL;
    Span cseq, via;
    if (vias == NULL || !PyList_Check(vias) || PyList_Size(vias) < 1 || !span_of(PyList_GetItem(vias, 0), &via) ||
        !member_span(&response_layout, args[0], RESPONSE_CSEQ, &cseq))
        goto unusual;
    const char *end = cseq.at + cseq.size, *space = cseq.at;
    while (space < end && DIGIT(*space))
        space++;
    if (space == cseq.at || space == end || *space != ' ' || space + 1 == end ||
        run(space + 1, end, VISIBLE) != end)
        goto unusual;
    const char *found = memmem(via.at, (size_t)via.size, BRANCH, sizeof BRANCH - 1);
    if (found == NULL)
        goto unusual;
    Span method = {space + 1, end - space - 1}, branch = {found + sizeof BRANCH - 1, 0};
    end = via.at + via.size;
    const char *stop = run(branch.at, end, PARAM);
    branch.size = stop - branch.at;
    if (branch.size == 0 || (stop < end && *stop != ';'))
        goto unusual;
    key = PyBytes_FromStringAndSize(NULL, method.size + 1 + branch.size);
    if (key != NULL) {
        char *at = put(PyBytes_AsString(key), method);
        *at++ = ' ';
        put_lower(at, branch);
    }
    Py_DECREF(vias);
    return key;
unusual:
    Py_XDECREF(vias);
    return left_to_python();
}

/* tag_of(value) -> tag in lower case, b"" for none | None: matching.tag_of */
static PyObject *tag_of(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Span value, tag = {"", 0};
    if (count != 1 || !span_of(args[0], &value))
        return wrong_arguments();
    const char *bracket = memrchr(value.at, '>', (size_t)value.size);
    if (bracket == NULL || find_param((Span){bracket + 1, value.at + value.size - bracket - 1}, "tag", &tag) < 0)
        return none();
    return tag.size ? lower_octets(tag) : new_reference(nothing);
}

/* A key and the size of a digest among arguments; 0 if they aren't. */
static int read_key(PyObject *key, PyObject *size, Span *span, int *digest)
{
    long number = PyLong_Check(size) ? PyLong_AsLong(size) : -1;
    *digest = (int)number;
    return number >= 1 && number <= MOST_DIGEST && span_of(key, span) && span->size >= 1 && span->size <= BLAKE_KEY;
}

/* keyed_hash(key, size, octets) -> digest */
static PyObject *keyed_hash(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    static Begun begun;
    Span key, hashed;
    int size;
    if (count != 3 || !read_key(args[0], args[1], &key, &size) || !span_of(args[2], &hashed))
        return wrong_arguments();
    Blake state;
    unsigned char digest[MOST_DIGEST];
    blake_begin_with(&state, &begun, key, size);
    blake_update(&state, hashed.at, hashed.size);
    blake_end(&state, digest, size);
    return PyBytes_FromStringAndSize((const char *)digest, size);
}

/* loop_mark(key, size, request, [Route entry]) -> mark | None: record_route.LoopDetector */
static PyObject *loop_mark(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    static Begun begun;
    static const int MEMBERS[] = {REQUEST_URI, REQUEST_CALL_ID, REQUEST_FROM, REQUEST_TO};
    Span key, part;
    int size;
    if (count != 4 || !read_key(args[0], args[1], &key, &size) || request_layout.type == NULL ||
        Py_TYPE(args[2]) != (PyTypeObject *)request_layout.type || !PyList_Check(args[3]))
        return wrong_arguments();
    Blake state;
    blake_begin_with(&state, &begun, key, size);
    for (size_t i = 0; i < sizeof MEMBERS / sizeof *MEMBERS; i++) {
        if (!member_span(&request_layout, args[2], MEMBERS[i], &part))
            return left_to_python();
        blake_update(&state, part.at, part.size);
        blake_update(&state, "\n", 1);
    }
    if (!member_span(&request_layout, args[2], REQUEST_CSEQ, &part))
        return left_to_python();
    const char *space = memrchr(part.at, ' ', (size_t)part.size); /* behind it is the method */
    blake_update(&state, part.at, space == NULL ? 0 : space - part.at);
    for (Py_ssize_t i = 0; i < PyList_Size(args[3]); i++) {
        if (!span_of(PyList_GetItem(args[3], i), &part))
            return wrong_arguments();
        blake_update(&state, "\n", 1);
        blake_update(&state, part.at, part.size);
    }
    unsigned char digest[MOST_DIGEST];
    char mark[2 * MOST_DIGEST];
    blake_end(&state, digest, size);
    put_hex(mark, digest, size);
    return PyBytes_FromStringAndSize(mark, 2 * size);
}

static void put_size(unsigned char *to, Py_ssize_t size)
{
    for (int i = 7; i >= 0; i--, size >>= 8)
        to[i] = (unsigned char)size;
}

/* The signature of octets in a dialog: record_route.signed, hashed. */
static void sign_octets(Span key, int size, Span said, Span call_id, Span tag, unsigned char *digest)
{
    static Begun begun;
    Blake state;
    unsigned char sizes[16];
    put_size(sizes, said.size);
    put_size(sizes + 8, call_id.size);
    blake_begin_with(&state, &begun, key, size);
    blake_update(&state, (const char *)sizes, sizeof sizes);
    blake_update(&state, said.at, said.size);
    blake_update(&state, call_id.at, call_id.size);
    blake_update(&state, tag.at, tag.size);
    blake_end(&state, digest, size);
}

static const char BASE64_URI[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static signed char base64_value[256];

static void fill_base64(void)
{
    memset(base64_value, -1, sizeof base64_value);
    for (int i = 0; i < 64; i++)
        base64_value[(unsigned char)BASE64_URI[i]] = (signed char)i;
}

/* sign(key, size, said, call_id, tag) -> said and its signature as text that a URI parameter may hold */
static PyObject *sign(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Span key, said, call_id, tag;
    int size;
    if (count != 5 || !read_key(args[0], args[1], &key, &size) || !span_of(args[2], &said) ||
        !span_of(args[3], &call_id) || !span_of(args[4], &tag))
        return wrong_arguments();
    unsigned char digest[MOST_DIGEST];
    sign_octets(key, size, said, call_id, tag, digest);
    Py_ssize_t total = said.size + size;
    PyObject *text = PyBytes_FromStringAndSize(NULL, total / 3 * 4 + (total % 3 ? total % 3 + 1 : 0));
    if (text == NULL)
        return NULL;
    char *at = PyBytes_AsString(text);
    uint32_t bits = 0;
    int held = 0;
    for (Py_ssize_t i = 0; i < total; i++) {
        bits = bits << 8 | (i < said.size ? (unsigned char)said.at[i] : digest[i - said.size]);
        for (held += 8; held >= 6;) {
            held -= 6;
            *at++ = BASE64_URI[bits >> held & 63];
        }
        bits &= 0xff;
    }
    if (held)
        *at++ = BASE64_URI[bits << (6 - held) & 63];
    return text;
}

static int same_digest(const unsigned char *one, const unsigned char *other, int size)
{
    unsigned char differs = 0;
    for (int i = 0; i < size; i++)
        differs |= one[i] ^ other[i]; /* all of them, however early one differs */
    return differs == 0;
}

/* unsign(key, size, text, call_id, first, second) -> (said, whether the first tag fits) | None: neither does */
static PyObject *unsign(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Span key, text, call_id, tags[2];
    int size;
    if (count != 6 || !read_key(args[0], args[1], &key, &size) || !span_of(args[2], &text) ||
        !span_of(args[3], &call_id) || !span_of(args[4], &tags[0]) || !span_of(args[5], &tags[1]))
        return wrong_arguments();
    Py_ssize_t total = text.size / 4 * 3 + (text.size % 4 ? text.size % 4 - 1 : 0);
    if (text.size % 4 == 1 || total < size)
        return none();
    unsigned char *buffer = PyMem_Malloc((size_t)total + 1);
    if (buffer == NULL)
        return PyErr_NoMemory();
    PyObject *result = NULL;
    uint32_t bits = 0;
    int held = 0, good = 1;
    Py_ssize_t written = 0;
    for (Py_ssize_t i = 0; good && i < text.size; i++) {
        int value = base64_value[(unsigned char)text.at[i]];
        good = value >= 0;
        bits = (bits << 6 | (uint32_t)(value & 63)) & 0x3fff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            buffer[written++] = (unsigned char)(bits >> held);
        }
    }
    Span said = {(const char *)buffer, total - size};
    if (good && (bits & ((1u << held) - 1)) == 0) /* no spare bits: one text for one token */
        for (int i = 0; i < 2 && result == NULL; i++) {
            unsigned char digest[MOST_DIGEST];
            sign_octets(key, size, said, call_id, tags[i], digest);
            if (same_digest(digest, buffer + said.size, size)) {
                result = Py_BuildValue("(y#O)", said.at, said.size, i == 0 ? Py_True : Py_False);
                if (result == NULL) {
                    PyMem_Free(buffer);
                    return NULL;
                }
            }
        }
    PyMem_Free(buffer);
    return result == NULL ? new_reference(Py_None) : result;
}

enum { FIELD_ROUTE, FIELD_MAX_FORWARDS, FIELD_PROXY_REQUIRE, FIELD_VIA, FIELD_LENGTH, FIELD_RECORD_ROUTE, FIELD_OTHER };

/* What a proxy does with the field of this line, a name up to a colon or the line's end. */
static int kind_of(Span line)
{
    const char *colon = memchr(line.at, ':', (size_t)line.size);
    Py_ssize_t size = colon == NULL ? line.size : colon - line.at;
    while (size && (line.at[size - 1] == ' ' || line.at[size - 1] == '\t'))
        size--;
    switch (size) {
    case 1:
        return LOWER(*line.at) == 'v' ? FIELD_VIA : LOWER(*line.at) == 'l' ? FIELD_LENGTH : FIELD_OTHER;
    case 3:
        return equal_lower(line.at, size, "via") ? FIELD_VIA : FIELD_OTHER;
    case 5:
        return equal_lower(line.at, size, "route") ? FIELD_ROUTE : FIELD_OTHER;
    case 12:
        if (equal_lower(line.at, size, "max-forwards"))
            return FIELD_MAX_FORWARDS;
        return equal_lower(line.at, size, "record-route") ? FIELD_RECORD_ROUTE : FIELD_OTHER;
    case 13:
        return equal_lower(line.at, size, "proxy-require") ? FIELD_PROXY_REQUIRE : FIELD_OTHER;
    case 14:
        return equal_lower(line.at, size, "content-length") ? FIELD_LENGTH : FIELD_OTHER;
    default:
        return FIELD_OTHER;
    }
}

/* The next CRLF; NULL if there is none. */
static const char *line_end(const char *at, const char *end)
{
    while (at < end && (at = memchr(at, '\r', (size_t)(end - at))) != NULL) {
        if (end - at > 1 && at[1] == '\n')
            return at;
        at++;
    }
    return NULL;
}

/* Its value, without white space around it; text and tabs only, or 0. */
static int value_of(Span line, Span *value)
{
    const char *colon = memchr(line.at, ':', (size_t)line.size), *end = line.at + line.size;
    if (colon == NULL || run_of_value(colon + 1, end) != end)
        return 0;
    *value = strip(colon + 1, end);
    return 1;
}

/* "<" scheme ":" ... ">" without a comma: abnf.PLAIN_ROUTE */
static int is_plain_route(Span value)
{
    const char *at = value.at, *end = value.at + value.size;
    if (value.size < 5 || *at++ != '<' || end[-1] != '>')
        return 0;
    while (at < end && LETTER(*at))
        at++;
    if (at == value.at + 1 || *at++ != ':' || at == end - 1)
        return 0;
    for (; at < end - 1; at++)
        if (!IS(*at, URI) || *at == ',')
            return 0;
    return 1;
}

/* The header fields of a request that is to be forwarded, where they are usual. */
typedef struct {
    Span rest; /* all of them */
    Span routes[MOST_ROUTES], recorded;
    Py_ssize_t lines[MOST_ROUTES]; /* the numbers of the routes' lines */
    int count, vias;
    long hops; /* -1: no Max-Forwards */
} Forwarded;

/* 0: unusual */
static int read_fields(Span head, Forwarded *forwarded)
{
    const char *end = head.at + head.size, *at = line_end(head.at, end);
    if (at == NULL)
        return 0;
    memset(forwarded, 0, sizeof *forwarded);
    forwarded->hops = -1;
    at += 2;
    forwarded->rest = (Span){at, end - at};
    Py_ssize_t total = 0;
    for (Py_ssize_t number = 0; at != NULL; number++) {
        if (at == end || *at == ' ' || *at == '\t')
            return 0;
        const char *stop = line_end(at, end);
        Span line = {at, (stop == NULL ? end : stop) - at}, value;
        switch (line.size ? kind_of(line) : FIELD_PROXY_REQUIRE) {
        case FIELD_PROXY_REQUIRE:
            return 0;
        case FIELD_VIA:
            forwarded->vias++;
            break;
        case FIELD_MAX_FORWARDS:
            if (forwarded->hops >= 0 || !value_of(line, &value) || value.size > MOST_HOP_DIGITS)
                return 0;
            if ((forwarded->hops = read_number(value.at, value.at + value.size)) < 0)
                return 0;
            break;
        case FIELD_RECORD_ROUTE:
            if (forwarded->recorded.at == NULL && !value_of(line, &forwarded->recorded))
                return 0;
            break;
        case FIELD_ROUTE:
            total += line.size;
            if (forwarded->count == MOST_ROUTES || total > MOST_ROUTE || !value_of(line, &value) ||
                !is_plain_route(value))
                return 0;
            forwarded->lines[forwarded->count] = number;
            forwarded->routes[forwarded->count++] = value;
            break;
        default:
            break;
        }
        at = stop == NULL ? NULL : stop + 2;
    }
    return forwarded->vias > 0;
}

/* read_forwarded(head) -> (hops | None, [(uri, entry, number of the line)], topmost Record-Route) | None */
static PyObject *read_forwarded(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Span head;
    Forwarded forwarded;
    if (count != 1 || !span_of(args[0], &head))
        return wrong_arguments();
    if (!read_fields(head, &forwarded))
        return none();
    PyObject *hops = forwarded.hops < 0 ? new_reference(Py_None) : PyLong_FromLong(forwarded.hops);
    PyObject *recorded = octets(forwarded.recorded), *routes = PyList_New(forwarded.count), *read = NULL;
    int whole = hops != NULL && recorded != NULL && routes != NULL;
    for (int i = 0; whole && i < forwarded.count; i++) {
        Span entry = forwarded.routes[i];
        PyObject *route = Py_BuildValue("(y#y#n)", entry.at + 1, entry.size - 2, entry.at, entry.size,
                                        forwarded.lines[i]);
        whole = route != NULL && PyList_SetItem(routes, i, route) == 0;
    }
    if (whole)
        read = PyTuple_Pack(3, hops, routes, recorded);
    Py_XDECREF(hops);
    Py_XDECREF(recorded);
    Py_XDECREF(routes);
    return read;
}

/* write_forwarded(head, via, hops | None, left_out, body) -> header fields, the empty line and the body | None
 *
 * The topmost Via is exchanged, Max-Forwards is one less than `hops`, so many Route fields from the top are
 * left out, and Content-Length says how long the body is. */
static PyObject *write_forwarded(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Span head, via, body;
    Forwarded forwarded;
    if (count != 5 || !span_of(args[0], &head) || !span_of(args[1], &via) || !span_of(args[4], &body))
        return wrong_arguments();
    long hops = args[2] == Py_None ? -1 : PyLong_AsLong(args[2]), left_out = PyLong_AsLong(args[3]);
    if (PyErr_Occurred() || left_out < 0 || (args[2] != Py_None && hops < 1))
        return wrong_arguments();
    if (!read_fields(head, &forwarded) || (hops < 0) != (forwarded.hops < 0) || left_out > forwarded.count)
        return none();
    char *buffer = PyMem_Malloc((size_t)(forwarded.rest.size + via.size + body.size + AROUND_FORWARDED + MOST_ROUTES));
    if (buffer == NULL)
        return PyErr_NoMemory();
    char *to = buffer;
    const char *at = forwarded.rest.at, *end = at + forwarded.rest.size;
    int vias = 0, route = 0, lengths = 0;
    while (at != NULL) {
        const char *stop = line_end(at, end);
        Span line = {at, (stop == NULL ? end : stop) - at};
        int kind = kind_of(line);
        at = stop == NULL ? NULL : stop + 2;
        if (kind == FIELD_VIA && vias++ == 0) {
            to = put(put_text(to, "Via: "), via);
        } else if (kind == FIELD_MAX_FORWARDS) {
            to = put_number(put_text(to, "Max-Forwards: "), (unsigned long)(hops - 1));
        } else if (kind == FIELD_ROUTE) {
            if (route++ < left_out)
                continue;
            to = put(put_text(to, "Route: "), forwarded.routes[route - 1]);
        } else if (kind == FIELD_LENGTH) {
            if (lengths++)
                continue; /* a second one isn't passed on */
            to = put_number(put_text(to, "Content-Length: "), (unsigned long)body.size);
        } else {
            to = put(to, line);
        }
        to = put_text(to, "\r\n");
    }
    if (hops < 0)
        to = put_text(to, "Max-Forwards: 70\r\n");
    if (!lengths)
        to = put_text(put_number(put_text(to, "Content-Length: "), (unsigned long)body.size), "\r\n");
    to = put(put_text(to, "\r\n"), body);
    PyObject *written = PyBytes_FromStringAndSize(buffer, to - buffer);
    PyMem_Free(buffer);
    return written;
}

/* returned(response) -> the response without its topmost Via, a line of its own | None: forwarding.returned */
static PyObject *returned(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    static const char NAME_OF_VIA[] = "\r\nVia: ";
    const Py_ssize_t name = sizeof NAME_OF_VIA - 1;
    if (count != 1 || response_layout.type == NULL || Py_TYPE(args[0]) != (PyTypeObject *)response_layout.type)
        return wrong_arguments();
    PyObject *vias = get(&response_layout, args[0], RESPONSE_VIAS), *data = NULL;
    Span top, head, body;
    if (vias == NULL || !PyList_Check(vias) || PyList_Size(vias) < 2 || !span_of(PyList_GetItem(vias, 0), &top) ||
        memchr(top.at, ',', (size_t)top.size) != NULL ||
        member_number(&response_layout, args[0], RESPONSE_LENGTH) < 0 ||
        !member_span(&response_layout, args[0], RESPONSE_HEAD, &head) ||
        !member_span(&response_layout, args[0], RESPONSE_BODY, &body))
        goto unusual;
    const char *end = head.at + head.size, *first = line_end(head.at, end);
    if (first == NULL || end - first < name + top.size + 2 || memcmp(first, NAME_OF_VIA, (size_t)name) != 0 ||
        memcmp(first + name, top.at, (size_t)top.size) != 0 || memcmp(first + name + top.size, "\r\n", 2) != 0)
        goto unusual;
    for (const char *at = first; at != NULL; at = line_end(at + 2, end))
        if (end - at > 2 && (at[2] == ' ' || at[2] == '\t'))
            goto unusual; /* folded */
    Span start = {head.at, first - head.at}, rest = {first + name + top.size, 0};
    rest.size = end - rest.at;
    data = PyBytes_FromStringAndSize(NULL, start.size + rest.size + 4 + body.size);
    if (data != NULL)
        put(put_text(put(put(PyBytes_AsString(data), start), rest), "\r\n\r\n"), body);
    Py_DECREF(vias);
    return data;
unusual:
    Py_XDECREF(vias);
    return left_to_python();
}

/* ---- the index of a head ---------------------------------------------------------------------- */

/* Names in lower case that most heads have; their objects are made once, with their hashes. A compact form
 * stands for the long one (RFC 3261 §7.3.3, RFC 6665 §8.2.1). */
static const struct {
    const char *name;
    char compact;
} INDEXED[] = {
    {"via", 'v'}, {"from", 'f'}, {"to", 't'}, {"call-id", 'i'}, {"cseq", 0}, {"contact", 'm'},
    {"content-length", 'l'}, {"content-type", 'c'}, {"content-encoding", 'e'}, {"event", 'o'},
    {"subject", 's'}, {"supported", 'k'}, {"max-forwards", 0}, {"user-agent", 0}, {"record-route", 0},
    {"route", 0}, {"allow", 0}, {"require", 0},
};
enum { INDEXED_NAMES = sizeof INDEXED / sizeof *INDEXED };
static PyObject *indexed_names[INDEXED_NAMES];

/* A header field's name in lower case, the long form: a new reference. */
static PyObject *indexed_name(Span name)
{
    for (int i = 0; i < INDEXED_NAMES; i++)
        if (name.size == 1 ? INDEXED[i].compact && LOWER(*name.at) == INDEXED[i].compact
                           : equal_lower(name.at, name.size, INDEXED[i].name))
            return new_reference(indexed_names[i]);
    return lower_octets(name);
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Add a line's value to those of its name; -1 with an exception set. */
static int index_line(PyObject *found, Span line)
{
    const char *colon = memchr(line.at, ':', (size_t)line.size), *end = line.at + line.size;
    Span field = {line.at, colon == NULL ? line.size : colon - line.at}, value = {end, 0};
    while (field.size && (field.at[field.size - 1] == ' ' || field.at[field.size - 1] == '\t'))
        field.size--;
    if (colon != NULL)
        value = (Span){colon + 1, end - colon - 1};
    for (; value.size && is_blank(*value.at); value.size--)
        value.at++;
    while (value.size && is_blank(value.at[value.size - 1]))
        value.size--;
    PyObject *name = indexed_name(field);
    if (name == NULL)
        return -1;
    PyObject *values = PyDict_GetItemWithError(found, name), *item = octets(value);
    int failed = -1;
    if (values != NULL && item != NULL) {
        failed = PyList_Append(values, item);
    } else if (item != NULL && !PyErr_Occurred() && (values = PyList_New(0)) != NULL) {
        failed = PyList_Append(values, item) < 0 ? -1 : PyDict_SetItem(found, name, values);
        Py_DECREF(values);
    }
    Py_XDECREF(item);
    Py_DECREF(name);
    return failed;
}

/* index(head) -> {name: [value]} | None, if a line is folded */
static PyObject *index_head(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    char *data;
    Py_ssize_t size;
    if (count != 1 || PyBytes_AsStringAndSize(args[0], &data, &size) < 0)
        return wrong_arguments();
    const char *end = data + size, *stop = line_end(data, end);
    PyObject *found = PyDict_New();
    while (found != NULL && stop != NULL) {
        const char *at = stop + 2;
        if (at < end && (*at == ' ' || *at == '\t')) {
            Py_DECREF(found);
            return none();
        }
        stop = line_end(at, end);
        if (index_line(found, (Span){at, (stop == NULL ? end : stop) - at}) < 0)
            Py_CLEAR(found);
    }
    return found;
}

/* ---- who called, and with which client --------------------------------------------------------- */

enum { MAX_CLIENT = 256 }; /* sip.caller */

/* The URI of [ quoted name ] "<" URI ">" …; 0 for anything else. */
static int uri_of(Span from, Span *uri)
{
    const char *end = from.at + from.size, *at = behind_quoted(from.at, end);
    if (at == NULL || at == end || *at++ != '<')
        return 0;
    uri->at = at;
    at = run(at, end, URI);
    uri->size = at - uri->at;
    return uri->size > 0 && at < end && *at == '>';
}

/* The first "User-Agent: ", else the first in another case; empty without one. 0 if its line is unusual. */
static int user_agent_of(Span head, Span *agent)
{
    const char *end = head.at + head.size, *found = NULL, *at = head.at;
    while ((at = line_end(at, end)) != NULL) {
        at += 2;
        if (end - at < 11 || LOWER(*at) != 'u' || !equal_lower(at, 10, "user-agent"))
            continue;
        const char *colon = at + 10;
        while (colon < end && (*colon == ' ' || *colon == '\t'))
            colon++;
        if (colon == end || *colon != ':')
            continue;
        if (end - at > 11 && memcmp(at, "User-Agent: ", 12) == 0) {
            found = colon + 1;
            break;
        }
        if (found == NULL)
            found = colon + 1;
    }
    *agent = (Span){"", 0};
    if (found == NULL)
        return 1;
    at = run_of_value(found, end);
    if (at < end && (end - at < 2 || at[0] != '\r' || at[1] != '\n'))
        return 0;
    while (found < at && (*found == ' ' || *found == '\t'))
        found++;
    if (at - found > MAX_CLIENT)
        at = found + MAX_CLIENT;
    while (at > found && (at[-1] == ' ' || at[-1] == '\t'))
        at--;
    *agent = (Span){found, at - found};
    return 1;
}

/* caller_and_client(from, head) -> From's URI LF User-Agent | None */
static PyObject *caller_and_client(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Span from, head, uri, agent;
    if (count != 2 || !span_of(args[0], &from) || !span_of(args[1], &head))
        return wrong_arguments();
    if (!uri_of(from, &uri) || !user_agent_of(head, &agent))
        return none();
    PyObject *both = PyBytes_FromStringAndSize(NULL, uri.size + 1 + agent.size);
    if (both != NULL) {
        char *at = put(PyBytes_AsString(both), uri);
        *at++ = '\n';
        put(at, agent);
    }
    return both;
}

/* bind(Request, Response, MandatoryHeaders, Via, Limits): the classes that messages are made of. Limits is
 * learnt last: without it nothing is read. */
static PyObject *bind_classes(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 5)
        return wrong_arguments();
    if (learn(&request_layout, args[0], REQUEST_FIELDS) < 0 || learn(&response_layout, args[1], RESPONSE_FIELDS) < 0 ||
        learn(&headers_layout, args[2], HEADERS_FIELDS) < 0 || learn(&via_layout, args[3], VIA_FIELDS) < 0 ||
        learn(&limits_layout, args[4], LIMITS_FIELDS) < 0)
        return NULL;
    return none();
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef functions[] = {
    {"bind", FAST(bind_classes), METH_FASTCALL, "bind(Request, Response, MandatoryHeaders, Via, Limits)"},
    {"read_datagram", FAST(read_datagram), METH_FASTCALL, "read_datagram(data, limits) -> message or None"},
    {"read_stream", FAST(read_stream), METH_FASTCALL,
     "read_stream(buffer, position, limits) -> (message, position) or None"},
    {"answer", FAST(answer), METH_FASTCALL,
     "answer(request, host, port, status_line, fields, key) -> (octets, port) or None"},
    {"index", FAST(index_head), METH_FASTCALL, "index(head) -> {name: [value]} or None"},
    {"stamped", FAST(stamped), METH_FASTCALL, "stamped(request, headers, host, port) -> (topmost Via, port) or None"},
    {"loop_mark", FAST(loop_mark), METH_FASTCALL, "loop_mark(key, size, request, [Route entry]) -> mark or None"},
    {"transaction_key", FAST(transaction_key), METH_FASTCALL, "transaction_key(request, headers, method) -> key or None"},
    {"branch_key", FAST(branch_key), METH_FASTCALL, "branch_key(response) -> key or None"},
    {"tag_of", FAST(tag_of), METH_FASTCALL, "tag_of(value) -> tag or None"},
    {"keyed_hash", FAST(keyed_hash), METH_FASTCALL, "keyed_hash(key, size, octets) -> digest"},
    {"sign", FAST(sign), METH_FASTCALL, "sign(key, size, said, call_id, tag) -> text"},
    {"unsign", FAST(unsign), METH_FASTCALL,
     "unsign(key, size, text, call_id, first, second) -> (said, whether the first tag fits) or None"},
    {"read_forwarded", FAST(read_forwarded), METH_FASTCALL,
     "read_forwarded(head) -> (hops, [(uri, entry, line)], Record-Route) or None"},
    {"write_forwarded", FAST(write_forwarded), METH_FASTCALL,
     "write_forwarded(head, via, hops, left_out, body) -> octets or None"},
    {"caller_and_client", FAST(caller_and_client), METH_FASTCALL,
     "caller_and_client(from, head) -> From's URI LF User-Agent, or None"},
    {"returned", FAST(returned), METH_FASTCALL, "returned(response) -> octets or None"},
    {"receive", FAST(receive), METH_FASTCALL, "receive(fd, most) -> [(data, name, control)] or errno"},
    {"send", FAST(send_batch), METH_FASTCALL, "send(fd, [(data, name, control)], from) -> how many, or -errno"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_codec", "Reads, writes and moves octets.", -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__codec(void)
{
    fill_classes();
    fill_base64();
    for (int i = 0; METHODS[i]; i++)
        if (methods[i] == NULL && (methods[i] = PyBytes_FromString(METHODS[i])) == NULL)
            return NULL;
    if ((version_2 = PyBytes_FromString("SIP/2.0")) == NULL || (nothing = PyBytes_FromString("")) == NULL ||
        (via_version = PyBytes_FromString("2.0")) == NULL || (empty_tuple = PyTuple_New(0)) == NULL)
        return NULL;
    for (int i = 0; i < INDEXED_NAMES; i++)
        if (indexed_names[i] == NULL && (indexed_names[i] = PyBytes_FromString(INDEXED[i].name)) == NULL)
            return NULL;
    return PyModule_Create(&definition);
}
