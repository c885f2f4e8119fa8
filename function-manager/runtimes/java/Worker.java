import java.io.DataInputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.jar.JarFile;
import java.util.stream.Stream;
import javax.tools.ToolProvider;

/**
 * Serves one function of Java: Worker SOURCE IMAGE HANDLER (function-manager/README.md, Runtime).
 *
 * <p>Speaks frames (4 bytes of length, big-endian, and JSON) on descriptor 3. HANDLER is a class,
 * or class::method; when it is empty, the only class with a public handle(context, payload).
 */
public final class Worker {
  private static final int CHANNEL = 3;
  private static final String METHOD = "handle";

  private final DataInputStream in;
  private final FileOutputStream out;
  private Object target;
  private Method method;

  private Worker() throws Exception {
    FileDescriptor channel = new FileDescriptor();
    var number = FileDescriptor.class.getDeclaredField("fd");  // opened by --add-opens
    number.setAccessible(true);
    number.setInt(channel, CHANNEL);
    in = new DataInputStream(new FileInputStream(channel));
    out = new FileOutputStream(channel);
  }

  public static void main(String[] arguments) throws Exception {
    Worker worker = new Worker();
    worker.send("{\"hello\":true}");
    try {
      worker.load(Path.of(arguments[0]), arguments[1], arguments[2]);
    } catch (Throwable e) {
      Throwable cause = e instanceof InvocationTargetException && e.getCause() != null ? e.getCause() : e;
      worker.send("{\"failed\":" + describe("FunctionError", cause) + "}");
      System.exit(0);
    }
    worker.send("{\"ready\":true}");
    worker.serve();
    System.exit(0);
  }

  private void send(String text) throws IOException {
    byte[] body = text.getBytes(StandardCharsets.UTF_8);
    byte[] frame = new byte[body.length + 4];
    for (int i = 0; i < 4; i++) frame[i] = (byte) (body.length >> (24 - 8 * i));
    System.arraycopy(body, 0, frame, 4, body.length);
    out.write(frame);
  }

  private static String describe(String type, Throwable e) {
    StringWriter text = new StringWriter();
    e.printStackTrace(new PrintWriter(text));
    List<String> lines = new ArrayList<>();
    for (String line : text.toString().split("\n")) {
      // Below the handler there is only the worker.
      if (line.contains("at Worker.") || line.contains("jdk.internal.reflect") || line.contains("java.lang.reflect.Method")) continue;
      lines.add(line);
    }
    Map<String, Object> error = new LinkedHashMap<>();
    error.put("type", type);
    error.put("message", e.getMessage() != null ? e.getMessage() : e.getClass().getName());
    error.put("stacktrace", lines);
    return Json.write(error);
  }

  private static boolean takesRuns(Method m) {
    return m.getName().equals(METHOD) && m.getParameterCount() == 2 && !m.isBridge() && Modifier.isPublic(m.getModifiers());
  }

  private void load(Path source, String image, String handler) throws Exception {
    List<URL> urls = new ArrayList<>();
    List<String> names = new ArrayList<>();
    Path compiled = compile(source, image);
    for (Path root : compiled != null ? List.of(compiled, source) : List.of(source)) {
      urls.add(root.toUri().toURL());
      addClasses(root, names);
    }
    for (Path jar : jars(source)) {
      urls.add(jar.toUri().toURL());
      try (JarFile file = new JarFile(jar.toFile())) {
        file.stream().forEach(entry -> addClass(entry.getName(), names));
      }
    }
    for (Path jar : imageJars(image)) urls.add(jar.toUri().toURL());
    URLClassLoader loader = new URLClassLoader(urls.toArray(new URL[0]), ClassLoader.getPlatformClassLoader());
    Thread.currentThread().setContextClassLoader(loader);
    int colons = handler.indexOf("::");
    String wanted = colons < 0 ? handler : handler.substring(0, colons);
    Class<?> type = wanted.isEmpty() ? onlyClass(loader, names) : find(loader, wanted);
    method = colons < 0 ? handle(type) : named(type, handler.substring(colons + 2));
    method.setAccessible(true);
    if (!Modifier.isStatic(method.getModifiers())) {
      var constructor = type.getDeclaredConstructor();
      constructor.setAccessible(true);
      target = constructor.newInstance();
    }
  }

  // Sources are compiled in the worker when this machine's Java can.
  private static Path compile(Path source, String image) throws IOException {
    List<String> words = new ArrayList<>();
    try (Stream<Path> files = Files.walk(source)) {
      files.map(Path::toString).filter(file -> file.endsWith(".java")).forEach(words::add);
    }
    if (words.isEmpty()) return null;
    var compiler = ToolProvider.getSystemJavaCompiler();
    if (compiler == null) throw new IOException("the source is not compiled, and this machine's Java has no compiler: send class files or a jar");
    Path classes = Files.createTempDirectory("classes");
    List<String> jars = new ArrayList<>();
    for (Path jar : jars(source)) jars.add(jar.toString());
    for (Path jar : imageJars(image)) jars.add(jar.toString());
    words.addAll(0, List.of("-parameters", "-nowarn", "-proc:none", "-d", classes.toString(), "-cp", String.join(":", jars) + ":" + source));
    var said = new java.io.ByteArrayOutputStream();
    if (compiler.run(null, said, said, words.toArray(new String[0])) != 0) {
      throw new IOException("it does not compile: " + said.toString(StandardCharsets.UTF_8).strip());
    }
    return classes;
  }

  private static List<Path> jars(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      return files.filter(file -> file.toString().endsWith(".jar")).sorted().toList();
    }
  }

  private static List<Path> imageJars(String image) throws IOException {
    Path lib = Path.of(image, "lib");
    return !image.isEmpty() && Files.isDirectory(lib) ? jars(lib) : List.of();
  }

  private static void addClasses(Path root, List<String> names) throws IOException {
    try (Stream<Path> files = Files.walk(root)) {
      files.forEach(file -> addClass(root.relativize(file).toString(), names));
    }
  }

  private static void addClass(String file, List<String> names) {
    if (file.endsWith(".class") && !file.contains("$") && !file.startsWith("META-INF")) {
      names.add(file.substring(0, file.length() - ".class".length()).replace('/', '.'));
    }
  }

  private static Class<?> onlyClass(ClassLoader loader, List<String> names) throws Exception {
    List<Class<?>> found = new ArrayList<>();
    for (String name : names) {
      Class<?> type = Class.forName(name, false, loader);
      if (Arrays.stream(type.getDeclaredMethods()).anyMatch(Worker::takesRuns)) found.add(type);
    }
    if (found.size() == 1) return found.get(0);
    throw new IllegalStateException("the handler is not given and the source has " + found.size()
        + " classes with a public method handle(context, payload): name one");
  }

  private static Class<?> find(ClassLoader loader, String name) {
    try {
      return Class.forName(name, true, loader);
    } catch (ClassNotFoundException e) {
      throw new IllegalStateException("the source has no class '" + name + "'");
    }
  }

  private static Method handle(Class<?> type) throws Exception {
    List<Method> found = Arrays.stream(type.getMethods()).filter(Worker::takesRuns).toList();
    if (found.size() == 1) return found.get(0);
    if (found.isEmpty() && BiFunction.class.isAssignableFrom(type)) return named(type, "apply");
    throw new IllegalStateException(type.getName() + " has " + found.size()
        + " public methods handle(context, payload): there must be one, or class::method as the handler");
  }

  private static Method named(Class<?> type, String name) {
    List<Method> found = Arrays.stream(type.getMethods())
        .filter(m -> m.getName().equals(name) && m.getParameterCount() == 2 && !m.isBridge()).toList();
    if (found.size() == 1) return found.get(0);
    throw new IllegalStateException(type.getName() + " has " + found.size() + " public methods "
        + name + "(context, payload): there must be one");
  }

  private void serve() throws IOException {
    for (;;) {
      byte[] body;
      try {
        body = new byte[in.readInt()];
        in.readFully(body);
      } catch (EOFException e) {
        return;
      }
      String answer = answer(new String(body, StandardCharsets.UTF_8));
      System.out.flush();
      System.err.flush();
      send(answer);
    }
  }

  private String answer(String text) {
    try {
      Map<?, ?> request = (Map<?, ?>) Json.parse(text);
      Object[] values;
      try {
        var types = method.getGenericParameterTypes();
        values = new Object[] {Json.bind(request.get("context"), types[0], "context"), Json.bind(request.get("payload"), types[1], "payload")};
      } catch (IllegalArgumentException e) {
        return "{\"error\":" + describe("InputError", e) + "}";
      }
      return "{\"payload\":" + Json.write(method.invoke(target, values)) + "}";
    } catch (InvocationTargetException e) {
      Throwable cause = e.getCause();
      boolean input = cause instanceof IllegalArgumentException || cause instanceof ClassCastException;
      return "{\"error\":" + describe(input ? "InputError" : "FunctionError", cause) + "}";
    } catch (Json.Bad e) {
      return "{\"error\":" + describe("FunctionError", new RuntimeException("the function's answer is no JSON: " + e.getMessage())) + "}";
    } catch (Throwable e) {
      return "{\"error\":" + describe("FunctionError", e) + "}";
    }
  }
}
