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
enum { REQUEST_VIAS = 4, REQUEST_FROM, REQUEST_TO, REQUEST_CALL_ID, REQUEST_CSEQ, REQUEST_HEADERS = 12 };
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

/* Learn a slotted dataclass; -1 with an exception set if it has other fields than `names`. */
static int learn(Layout *layout, PyObject *type, const char *const *names)
{
    if (!PyType_Check(type)) {
        PyErr_SetString(PyExc_TypeError, "a class is wanted");
        return -1;
    }
    PyObject *slots = PyObject_GetAttrString(type, "__slots__");
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
        PyObject *member = PyObject_GetAttrString(type, names[count]);
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

/* *( ";" token [ "=" value ] ) up to the end; 0 for anything else. Says whether there is a tag. */
static int read_params(const char *at, const char *end, int *tagged)
{
    *tagged = 0;
    for (int count = 0; at < end; count++) {
        if (*at++ != ';' || count == MAX_PARAMS)
            return 0;
        const char *name = at;
        at = run(at, end, TOKEN);
        if (at == name)
            return 0;
        int is_tag = equal_lower(name, at - name, "tag");
        if (at < end && *at == '=') {
            const char *value = ++at;
            at = run(at, end, PARAM);
            if (is_tag && (at == value || *tagged))
                return 0; /* an empty tag, or two: unusual */
        } else if (is_tag) {
            return 0;
        }
        *tagged |= is_tag;
    }
    return 1;
}

/* [ name ] "<" URI ">" params */
static int read_address(Span value, int *tagged)
{
    const char *at = value.at, *end = value.at + value.size;
    if (at < end && *at == '"') {
        for (at++; at < end && *at != '"'; at++)
            if (*at == '\\' || !IS(*at, VALUE) || *at == '\t')
                return 0;
        if (at == end)
            return 0;
        at++;
        if (at < end && *at == ' ')
            at++;
    } else if (at < end && IS(*at, NAME) && *at != ' ') {
        at = run(at, end, NAME);
    }
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
        Py_RETURN_NONE;
    if (!read_lines(data, data + size, &limits, &head))
        Py_RETURN_NONE;
    Span body = {data + head.text.size + 4, size - head.text.size - 4};
    if (head.length > body.size)
        Py_RETURN_NONE;
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
        Py_RETURN_NONE;
    Span body = {from + head.text.size + 4, head.length};
    if (body.at - from + body.size > limits.message || data + size - body.at < body.size)
        Py_RETURN_NONE;
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

/* As blake_begin; what only the key decides is kept for the next time. */
static void blake_begin_with(Blake *state, Span key, int digest_size)
{
    static Blake begun;
    static char of_key[BLAKE_KEY];
    static Py_ssize_t of_size = -1;
    static int of_digest;
    if (of_size != key.size || of_digest != digest_size || memcmp(of_key, key.at, key.size) != 0) {
        blake_begin(&begun, key.at, key.size, digest_size);
        if (key.size) { /* its block isn't the last */
            begun.counted = sizeof begun.block;
            blake_compress(&begun, 0);
            begun.filled = 0;
        }
        memcpy(of_key, key.at, key.size);
        of_size = key.size;
        of_digest = digest_size;
    }
    memcpy(state, &begun, sizeof begun);
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

/* The numbers and spans of a request that an answer repeats. They stay valid as long as the request and
 * the list of its Vias are unchanged, so no Python code may run before they are copied. */
typedef struct {
    Span from, to, call_id, cseq, top, via_host, params;
    long number, via_port;
    Py_ssize_t vias;
} Repeated;

/* 0 if the request is unusual; the three objects are the caller's to give back. */
static int read_repeated(PyObject *request, PyObject **headers, PyObject **vias, PyObject **via, Repeated *repeated)
{
    *headers = get(&request_layout, request, REQUEST_HEADERS);
    *vias = get(&request_layout, request, REQUEST_VIAS);
    if (*headers == NULL || Py_TYPE(*headers) != (PyTypeObject *)headers_layout.type || *vias == NULL ||
        !PyList_Check(*vias))
        return 0;
    *via = get(&headers_layout, *headers, HEADERS_VIA);
    if (*via == NULL || Py_TYPE(*via) != (PyTypeObject *)via_layout.type)
        return 0;
    PyObject *readable = get(&via_layout, *via, VIA_READABLE);
    Py_XDECREF(readable); /* True and False live on */
    if (readable != Py_True || !member_span(&request_layout, request, REQUEST_FROM, &repeated->from) ||
        !member_span(&request_layout, request, REQUEST_TO, &repeated->to) ||
        !member_span(&request_layout, request, REQUEST_CALL_ID, &repeated->call_id) ||
        !member_span(&request_layout, request, REQUEST_CSEQ, &repeated->cseq) ||
        !member_span(&via_layout, *via, VIA_HOST, &repeated->via_host) ||
        !member_span(&via_layout, *via, VIA_PARAMS, &repeated->params))
        return 0;
    repeated->number = member_number(&headers_layout, *headers, HEADERS_NUMBER);
    repeated->via_port = member_number(&via_layout, *via, VIA_PORT); /* -1: None */
    repeated->vias = PyList_Size(*vias);
    return repeated->vias > 0 && repeated->number >= 0 && span_of(PyList_GetItem(*vias, 0), &repeated->top) &&
           member_number(&via_layout, *via, VIA_END) == repeated->top.size;
}

/* The To tag (TagMaker.tag): a keyed hash of what identifies the request. */
static char *put_tag(char *at, Span key, const Repeated *repeated)
{
    Blake state;
    unsigned char digest[TAG_OCTETS];
    char digits[24];
    const Span hashed[] = {
        repeated->top, repeated->from, repeated->call_id,
    };
    blake_begin_with(&state, key, TAG_OCTETS);
    for (size_t i = 0; i < sizeof hashed / sizeof *hashed; i++) {
        blake_update(&state, hashed[i].at, hashed[i].size);
        blake_update(&state, "\r\n", 2);
    }
    blake_update(&state, digits, put_number(digits, (unsigned long)repeated->number) - digits);
    blake_end(&state, digest, TAG_OCTETS);
    at = put_text(at, ";tag=");
    for (int i = 0; i < TAG_OCTETS; i++) {
        *at++ = "0123456789abcdef"[digest[i] >> 4];
        *at++ = "0123456789abcdef"[digest[i] & 15];
    }
    return at;
}

enum {
    SIP_PORT = 5060,
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

    /* RFC 3581 §4, RFC 3261 §18.2.1: `stamp` and `reply_port` */
    Span params = repeated.params, via_host = repeated.via_host;
    int asked = params.size >= 6 && memcmp(params.at + params.size - 6, ";rport", 6) == 0 &&
                !has_rport_or_received((Span){params.at, params.size - 6});
    int differs = via_host.size != host.size || memcmp(via_host.at, host.at, host.size) != 0;
    for (Py_ssize_t i = 0; i < params.size; i++)
        if (!IS(params.at[i], VISIBLE) || params.at[i] == '"')
            goto unusual; /* white space or a string, in which a semicolon means nothing */
    if (!asked && (has_rport_or_received(params) || (differs && via_host.size && *via_host.at == '[')))
        goto unusual;

    Py_ssize_t size = status_line.size + repeated.top.size + host.size + repeated.from.size + repeated.to.size +
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
    at = put(at, repeated.top);
    if (asked)
        at = put_number(put_text(at, "="), (unsigned long)port);
    if (asked || differs)
        at = put(put_text(at, ";received="), host);
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
    to_port = PyLong_FromLong(asked ? port : repeated.via_port > 0 ? repeated.via_port : SIP_PORT);
    if (written != NULL && to_port != NULL)
        result = PyTuple_Pack(2, written, to_port);
    goto done;
unusual:
    if (!PyErr_Occurred() || !PyErr_ExceptionMatches(PyExc_MemoryError)) {
        PyErr_Clear();
        result = new_reference(Py_None);
    }
done:
    Py_XDECREF(headers);
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
    Py_ssize_t from = PyLong_AsSsize_t(args[2]), size = PyList_Size(args[1]) - from;
    if (PyErr_Occurred() || fd < INT_MIN || fd > INT_MAX || from < 0 || size < 0)
        return wrong_arguments();
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

/* ---- the layout of a head -------------------------------------------------------------------- */

enum { LIST_ROUTE, LIST_MAX_FORWARDS, LIST_PROXY_REQUIRE, LISTS };
enum { ONE_VIA = LISTS, ONE_LENGTH, ONE_RECORD_ROUTE, KINDS, OTHER_FIELD = KINDS };

/* What a proxy does with the field of this line, a name up to a colon or the line's end. */
static int kind_of(Span line)
{
    const char *colon = memchr(line.at, ':', (size_t)line.size);
    Py_ssize_t size = colon == NULL ? line.size : colon - line.at;
    while (size && (line.at[size - 1] == ' ' || line.at[size - 1] == '\t'))
        size--;
    switch (size) {
    case 1:
        return LOWER(*line.at) == 'v' ? ONE_VIA : LOWER(*line.at) == 'l' ? ONE_LENGTH : OTHER_FIELD;
    case 3:
        return equal_lower(line.at, size, "via") ? ONE_VIA : OTHER_FIELD;
    case 5:
        return equal_lower(line.at, size, "route") ? LIST_ROUTE : OTHER_FIELD;
    case 12:
        if (equal_lower(line.at, size, "max-forwards"))
            return LIST_MAX_FORWARDS;
        return equal_lower(line.at, size, "record-route") ? ONE_RECORD_ROUTE : OTHER_FIELD;
    case 13:
        return equal_lower(line.at, size, "proxy-require") ? LIST_PROXY_REQUIRE : OTHER_FIELD;
    case 14:
        return equal_lower(line.at, size, "content-length") ? ONE_LENGTH : OTHER_FIELD;
    default:
        return OTHER_FIELD;
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

/* Append a new reference, which is stolen and may be NULL after a failure. */
static int append(PyObject *list, PyObject *item)
{
    int failed = item == NULL ? -1 : PyList_Append(list, item);
    Py_XDECREF(item);
    return failed;
}

/* Fill the lists and the indexes of the first ones; 0 if a line is folded, -1 with an exception set. */
static int lay_out_fields(Span rest, PyObject *fields, PyObject **lists, Py_ssize_t *first)
{
    const char *at = rest.at, *end = rest.at + rest.size;
    for (Py_ssize_t number = 0; at != NULL; number++) {
        if (at < end && (*at == ' ' || *at == '\t'))
            return 0;
        const char *stop = line_end(at, end);
        Span line = {at, (stop == NULL ? end : stop) - at};
        int kind = kind_of(line);
        if (kind == ONE_LENGTH && first[kind] >= 0)
            line.size = 0; /* a second Content-Length isn't passed on */
        if (append(fields, octets(line)) < 0)
            return -1;
        if (kind < LISTS && append(lists[kind], PyLong_FromSsize_t(number)) < 0)
            return -1;
        if (kind < KINDS && first[kind] < 0)
            first[kind] = number;
        at = stop == NULL ? NULL : stop + 2;
    }
    return 1;
}

/* lay_out(head) -> what a HeaderEditor is made of | None */
static PyObject *lay_out(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    char *data;
    Py_ssize_t size;
    if (count != 1 || PyBytes_AsStringAndSize(args[0], &data, &size) < 0)
        return wrong_arguments();
    const char *stop = line_end(data, data + size);
    if (stop == NULL)
        Py_RETURN_NONE;
    PyObject *fields = PyList_New(0), *lists[LISTS], *found = NULL;
    int laid_out = fields == NULL ? -1 : 1;
    for (int i = 0; i < LISTS; i++)
        if ((lists[i] = PyList_New(0)) == NULL)
            laid_out = -1;
    Py_ssize_t first[KINDS];
    for (int i = 0; i < KINDS; i++)
        first[i] = -1;
    if (laid_out > 0) {
        Span rest = {stop + 2, data + size - (stop + 2)};
        laid_out = lay_out_fields(rest, fields, lists, first);
    }
    if (laid_out > 0)
        found = Py_BuildValue(
            "(y#OnOOOnn)", data, (Py_ssize_t)(stop - data), fields, first[ONE_VIA], lists[LIST_ROUTE],
            lists[LIST_MAX_FORWARDS], lists[LIST_PROXY_REQUIRE], first[ONE_LENGTH], first[ONE_RECORD_ROUTE]);
    else if (laid_out == 0)
        found = new_reference(Py_None);
    Py_XDECREF(fields);
    for (int i = 0; i < LISTS; i++)
        Py_XDECREF(lists[i]);
    return found;
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
    Py_RETURN_NONE;
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef functions[] = {
    {"bind", FAST(bind_classes), METH_FASTCALL, "bind(Request, Response, MandatoryHeaders, Via, Limits)"},
    {"read_datagram", FAST(read_datagram), METH_FASTCALL, "read_datagram(data, limits) -> message or None"},
    {"read_stream", FAST(read_stream), METH_FASTCALL,
     "read_stream(buffer, position, limits) -> (message, position) or None"},
    {"answer", FAST(answer), METH_FASTCALL,
     "answer(request, host, port, status_line, fields, key) -> (octets, port) or None"},
    {"lay_out", FAST(lay_out), METH_FASTCALL, "lay_out(head) -> what a HeaderEditor is made of, or None"},
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
    for (int i = 0; METHODS[i]; i++)
        if (methods[i] == NULL && (methods[i] = PyBytes_FromString(METHODS[i])) == NULL)
            return NULL;
    if ((version_2 = PyBytes_FromString("SIP/2.0")) == NULL || (nothing = PyBytes_FromString("")) == NULL ||
        (via_version = PyBytes_FromString("2.0")) == NULL || (empty_tuple = PyTuple_New(0)) == NULL)
        return NULL;
    return PyModule_Create(&definition);
}
