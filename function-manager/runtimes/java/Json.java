import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;

/** JSON to and from Java: what a handler's types say, without a library beside the function's own. */
final class Json {
  private static final int MOST_DEPTH = 200;

  static final class Bad extends RuntimeException {
    Bad(String message) {
      super(message);
    }
  }

  private final String text;
  private int at = 0;

  private Json(String text) {
    this.text = text;
  }

  /** Maps, lists, strings, Long or BigInteger, Double, Boolean, null. */
  static Object parse(String text) {
    Json json = new Json(text);
    Object value = json.value(0);
    json.space();
    if (json.at != text.length()) throw new Bad("more behind the JSON at " + json.at);
    return value;
  }

  private void space() {
    while (at < text.length() && text.charAt(at) <= ' ') at++;
  }

  private Bad bad(String what) {
    return new Bad(what + " at " + at);
  }

  private boolean take(char c) {
    space();
    if (at >= text.length() || text.charAt(at) != c) return false;
    at++;
    return true;
  }

  private Object word(String word, Object value) {
    if (!text.startsWith(word, at)) throw bad("no JSON");
    at += word.length();
    return value;
  }

  private Object value(int depth) {
    if (depth > MOST_DEPTH) throw bad("nested too deep");
    space();
    if (at >= text.length()) throw bad("the JSON ends");
    switch (text.charAt(at)) {
      case '{': {
        at++;
        Map<String, Object> map = new LinkedHashMap<>();
        if (take('}')) return map;
        do {
          space();
          String key = string();
          if (!take(':')) throw bad("':' is missing");
          map.put(key, value(depth + 1));
        } while (take(','));
        if (!take('}')) throw bad("'}' is missing");
        return map;
      }
      case '[': {
        at++;
        List<Object> list = new ArrayList<>();
        if (take(']')) return list;
        do {
          list.add(value(depth + 1));
        } while (take(','));
        if (!take(']')) throw bad("']' is missing");
        return list;
      }
      case '"':
        return string();
      case 't':
        return word("true", true);
      case 'f':
        return word("false", false);
      case 'n':
        return word("null", null);
      default:
        return number();
    }
  }

  private Object number() {
    int from = at;
    boolean whole = true;
    while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
      whole &= ".eE".indexOf(text.charAt(at)) < 0;
      at++;
    }
    String digits = text.substring(from, at);
    try {
      if (!whole) return Double.valueOf(digits);
      return digits.length() < 19 ? (Object) Long.valueOf(digits) : shortest(new BigInteger(digits));
    } catch (NumberFormatException e) {
      throw bad("no number");
    }
  }

  private static Object shortest(BigInteger value) {
    return value.bitLength() < 64 ? (Object) value.longValue() : value;
  }

  private String string() {
    if (at >= text.length() || text.charAt(at) != '"') throw bad("'\"' is missing");
    StringBuilder out = new StringBuilder();
    for (at++; ; at++) {
      if (at >= text.length()) throw bad("a text has no end");
      char c = text.charAt(at);
      if (c == '"') {
        at++;
        return out.toString();
      }
      if (c != '\\') {
        out.append(c);
        continue;
      }
      if (++at >= text.length()) throw bad("a text has no end");
      int escape = "\"\\/bfnrtu".indexOf(text.charAt(at));
      if (escape < 0) throw bad("no escape");
      if (escape < 8) {
        out.append("\"\\/\b\f\n\r\t".charAt(escape));
      } else {
        if (at + 4 >= text.length()) throw bad("no escape");
        out.append((char) Integer.parseInt(text, at + 1, at + 5, 16));
        at += 4;
      }
    }
  }

  /** A parsed value as a type has it: records, beans by their fields, collections, arrays, enums. */
  static Object bind(Object value, Type type, String path) {
    if (type instanceof WildcardType wildcard) return bind(value, wildcard.getUpperBounds()[0], path);
    if (type instanceof TypeVariable<?> variable) return bind(value, variable.getBounds()[0], path);
    if (type instanceof GenericArrayType array) {
      return array(value, raw(array.getGenericComponentType()), array.getGenericComponentType(), path);
    }
    Class<?> raw = raw(type);
    if (raw == Object.class) return value;
    if (value == null) {
      if (raw.isPrimitive()) throw wrong("null", raw, path);
      return null;
    }
    if (raw == String.class || raw == CharSequence.class) {
      if (value instanceof String) return value;
    } else if (raw == boolean.class || raw == Boolean.class) {
      if (value instanceof Boolean) return value;
    } else if (raw.isPrimitive() || Number.class.isAssignableFrom(raw) || raw == Character.class) {
      return number(value, raw, path);
    } else if (raw.isEnum()) {
      for (Object constant : raw.getEnumConstants()) {
        if (((Enum<?>) constant).name().equals(value)) return constant;
      }
    } else if (raw.isArray()) {
      return array(value, raw.getComponentType(), raw.getComponentType(), path);
    } else if (Map.class.isAssignableFrom(raw)) {
      if (value instanceof Map<?, ?> map) return map(map, raw, type, path);
    } else if (Collection.class.isAssignableFrom(raw) || raw == Iterable.class) {
      if (value instanceof List<?> list) return collection(list, raw, type, path);
    } else if (value instanceof Map<?, ?> map) {
      return raw.isRecord() ? record(map, raw, path) : bean(map, raw, path);
    }
    throw wrong(nameOf(value), raw, path);
  }

  private static IllegalArgumentException wrong(String is, Class<?> wanted, String path) {
    return new IllegalArgumentException(path + ": " + is + " where " + wanted.getSimpleName() + " is expected");
  }

  private static String nameOf(Object value) {
    if (value instanceof Map) return "an object";
    if (value instanceof List) return "an array";
    if (value instanceof String) return "a text";
    return value instanceof Boolean ? "a boolean" : "a number";
  }

  private static Class<?> raw(Type type) {
    if (type instanceof Class<?> plain) return plain;
    if (type instanceof ParameterizedType generic) return (Class<?>) generic.getRawType();
    if (type instanceof GenericArrayType array) return Array.newInstance(raw(array.getGenericComponentType()), 0).getClass();
    return Object.class;
  }

  private static Type argument(Type type, int index) {
    return type instanceof ParameterizedType generic && generic.getActualTypeArguments().length > index
        ? generic.getActualTypeArguments()[index]
        : Object.class;
  }

  private static Object number(Object value, Class<?> raw, String path) {
    if (raw == char.class || raw == Character.class) {
      if (value instanceof String text && text.length() == 1) return text.charAt(0);
      throw wrong(nameOf(value), raw, path);
    }
    if (!(value instanceof Number)) throw wrong(nameOf(value), raw, path);
    BigDecimal exact = value instanceof Double d ? BigDecimal.valueOf(d) : new BigDecimal(value.toString());
    try {
      if (raw == int.class || raw == Integer.class) return exact.intValueExact();
      if (raw == long.class || raw == Long.class) return exact.longValueExact();
      if (raw == short.class || raw == Short.class) return exact.shortValueExact();
      if (raw == byte.class || raw == Byte.class) return exact.byteValueExact();
      if (raw == BigInteger.class) return exact.toBigIntegerExact();
    } catch (ArithmeticException e) {
      throw new IllegalArgumentException(path + ": " + value + " is no " + raw.getSimpleName());
    }
    if (raw == double.class || raw == Double.class) return exact.doubleValue();
    if (raw == float.class || raw == Float.class) return exact.floatValue();
    if (raw == BigDecimal.class) return exact;
    if (raw == Number.class) return value;
    throw wrong(nameOf(value), raw, path);
  }

  private static Object array(Object value, Class<?> raw, Type each, String path) {
    if (!(value instanceof List<?> list)) throw wrong(nameOf(value), raw.arrayType(), path);
    Object array = Array.newInstance(raw, list.size());
    for (int i = 0; i < list.size(); i++) Array.set(array, i, bind(list.get(i), each, path + "[" + i + "]"));
    return array;
  }

  private static Object collection(List<?> list, Class<?> raw, Type type, String path) {
    Collection<Object> made = raw.isAssignableFrom(ArrayList.class) ? new ArrayList<>()
        : raw.isAssignableFrom(LinkedHashSet.class) ? new LinkedHashSet<>() : null;
    if (made == null) made = cast(make(raw, path));
    for (int i = 0; i < list.size(); i++) made.add(bind(list.get(i), argument(type, 0), path + "[" + i + "]"));
    return made;
  }

  private static Object map(Map<?, ?> map, Class<?> raw, Type type, String path) {
    Map<Object, Object> made = raw.isAssignableFrom(LinkedHashMap.class) ? new LinkedHashMap<>() : null;
    if (made == null) made = cast(make(raw, path));
    for (var entry : map.entrySet()) {
      made.put(entry.getKey(), bind(entry.getValue(), argument(type, 1), path + "." + entry.getKey()));
    }
    return made;
  }

  @SuppressWarnings("unchecked")
  private static <T> T cast(Object value) {
    return (T) value;
  }

  private static Object make(Class<?> raw, String path) {
    try {
      var constructor = raw.getDeclaredConstructor();
      constructor.setAccessible(true);
      return constructor.newInstance();
    } catch (ReflectiveOperationException e) {
      throw new IllegalArgumentException(path + ": " + raw.getName() + " has no constructor without arguments");
    }
  }

  private static Object record(Map<?, ?> map, Class<?> raw, String path) {
    RecordComponent[] components = raw.getRecordComponents();
    Class<?>[] types = new Class<?>[components.length];
    Object[] values = new Object[components.length];
    for (int i = 0; i < components.length; i++) {
      types[i] = components[i].getType();
      String name = components[i].getName();
      values[i] = bind(map.get(name), components[i].getGenericType(), path + "." + name);
    }
    try {
      var constructor = raw.getDeclaredConstructor(types);
      constructor.setAccessible(true);
      return constructor.newInstance(values);
    } catch (java.lang.reflect.InvocationTargetException e) {
      throw new IllegalArgumentException(path + ": " + e.getCause().getMessage());
    } catch (ReflectiveOperationException e) {
      throw new IllegalArgumentException(path + ": " + e);
    }
  }

  private static List<Field> fields(Class<?> raw) {
    List<Field> fields = new ArrayList<>();
    for (Class<?> c = raw; c != null && c != Object.class; c = c.getSuperclass()) {
      for (Field field : c.getDeclaredFields()) {
        if ((field.getModifiers() & (Modifier.STATIC | Modifier.TRANSIENT)) == 0 && !field.isSynthetic()) fields.add(field);
      }
    }
    return fields;
  }

  private static Object bean(Map<?, ?> map, Class<?> raw, String path) {
    Object made = make(raw, path);
    for (Field field : fields(raw)) {
      if (!map.containsKey(field.getName())) continue;
      try {
        field.setAccessible(true);
        field.set(made, bind(map.get(field.getName()), field.getGenericType(), path + "." + field.getName()));
      } catch (ReflectiveOperationException | RuntimeException e) {
        if (e instanceof IllegalArgumentException) throw (IllegalArgumentException) e;
        throw new IllegalArgumentException(path + "." + field.getName() + ": " + e);
      }
    }
    return made;
  }

  static String write(Object value) {
    StringBuilder out = new StringBuilder();
    write(value, out, 0);
    return out.toString();
  }

  private static void write(Object value, StringBuilder out, int depth) {
    if (depth > MOST_DEPTH) throw new Bad("the answer is nested too deep, or in a circle");
    if (value == null || value instanceof Boolean) {
      out.append(value);
    } else if (value instanceof Number) {
      double d = ((Number) value).doubleValue();
      if ((value instanceof Double || value instanceof Float) && (Double.isNaN(d) || Double.isInfinite(d))) {
        throw new Bad("the answer has a number that is none: " + value);
      }
      out.append(value);
    } else if (value instanceof CharSequence || value instanceof Character) {
      quote(value.toString(), out);
    } else if (value instanceof Enum<?> constant) {
      quote(constant.name(), out);
    } else if (value instanceof java.util.Optional<?> maybe) {
      write(maybe.orElse(null), out, depth + 1);
    } else if (value instanceof Map<?, ?> map) {
      out.append('{');
      String comma = "";
      for (var entry : map.entrySet()) {
        out.append(comma);
        quote(String.valueOf(entry.getKey()), out);
        out.append(':');
        write(entry.getValue(), out, depth + 1);
        comma = ",";
      }
      out.append('}');
    } else if (value instanceof Iterable<?> list) {
      out.append('[');
      String comma = "";
      for (Object each : list) {
        out.append(comma);
        write(each, out, depth + 1);
        comma = ",";
      }
      out.append(']');
    } else if (value.getClass().isArray()) {
      out.append('[');
      for (int i = 0; i < Array.getLength(value); i++) {
        if (i > 0) out.append(',');
        write(Array.get(value, i), out, depth + 1);
      }
      out.append(']');
    } else {
      Map<String, Object> map = new LinkedHashMap<>();
      for (Field field : fields(value.getClass())) {
        try {
          field.setAccessible(true);
          map.put(field.getName(), field.get(value));
        } catch (ReflectiveOperationException | RuntimeException e) {
          throw new Bad("the answer has a " + value.getClass().getName() + ", which is no JSON");
        }
      }
      write(map, out, depth + 1);
    }
  }

  private static void quote(String text, StringBuilder out) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      boolean alone = Character.isSurrogate(c)
          && !(Character.isHighSurrogate(c) && i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1)))
          && !(Character.isLowSurrogate(c) && i > 0 && Character.isHighSurrogate(text.charAt(i - 1)));
      if (c == '"' || c == '\\') {
        out.append('\\').append(c);
      } else if (c < ' ') {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(alone ? '\ufffd' : c);
      }
    }
    out.append('"');
  }
}
